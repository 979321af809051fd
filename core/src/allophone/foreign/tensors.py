"""Where another project's tensors belong in a module of ours: by names, and by shapes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from allophone.errors import UserError
from allophone.weights import compare

Rule = tuple[str, str | Callable[[re.Match[str]], str]]
"""A regular expression, and what it is replaced by."""

NORMS: tuple[Rule, ...] = (
    (r"(^|\.)parametrizations\.weight\.original0$", r"\1weight_g"),
    (r"(^|\.)parametrizations\.weight\.original1$", r"\1weight_v"),
    (r"(^|\.)parametrizations\.weight\.original$", r"\1weight_orig"),
    (r"(^|\.)parametrizations\.weight\.0\._(u|v)$", r"\1weight_\2"),
)
"""How weights under weight norm or spectral norm were named before PyTorch had parametrizations."""


def renamed(name: str, rules: Iterable[Rule]) -> str:
    """`name` after all rules, each applied to what the one before has left."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def place(
    tensors: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    reference_name: Callable[[str], str],
) -> dict[str, Tensor]:
    """The state of a module from a reference's tensors, in float32 where they are fractions.

    Weights under a norm are found under the old names and the new, and, where the norm was multiplied
    out for inference, taken apart again.

    tensors: under the reference's names.
    wanted: the state of the module, of which only names and shapes are read.
    reference_name: what the reference calls a tensor of the module.
    Raises UserError that names every tensor without a place, and every place without a tensor.
    """
    given = {
        renamed(name, NORMS): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    names = {ours: renamed(reference_name(ours), NORMS) for ours in wanted}
    _take_apart(given, names.values())
    comparison = compare(given, {theirs: wanted[ours] for ours, theirs in names.items()})
    wrong = [
        *(f"missing: {name}" for name in comparison.missing),
        *(f"left over: {name}" for name in comparison.unexpected),
        *(
            f"{name}: {list(there)} where the model has {list(here)}"
            for name, (there, here) in comparison.mismatched.items()
        ),
    ]
    if wrong:
        raise UserError(
            f"{len(wrong)} tensors do not fit the model that the others and its settings describe:"
            "\n  " + "\n  ".join(wrong),
            hint="The file is damaged, of other settings, or of a variant of the model that this "
            "importer does not know.",
        )
    return {ours: given[theirs] for ours, theirs in names.items()}


def _take_apart(given: dict[str, Tensor], names: Iterable[str]) -> None:
    """Give weights whose norm was multiplied out their magnitude and direction again."""
    for magnitude in names:
        weight = magnitude.removesuffix("_g")
        if magnitude.endswith("weight_g") and weight in given:
            direction = given.pop(weight)
            axes = tuple(range(1, direction.dim()))
            given[magnitude] = torch.linalg.vector_norm(direction, dim=axes, keepdim=True)
            given[f"{weight}_v"] = direction


class Shapes:
    """The sizes that a reference's tensors tell: `Shapes(tensors, "VITS")("enc_p.proj")[0]`."""

    def __init__(self, tensors: Mapping[str, Tensor], family: str) -> None:
        self.tensors = tensors
        self._family = family

    def __call__(self, module: str) -> tuple[int, ...]:
        """The shape of a module's weight, under weight norm or not, or of the tensor of that name.

        Raises UserError where there is none: then it is no model of the family.
        """
        for name in (f"{module}.weight", f"{module}.weight_v", module):
            if name in self.tensors:
                return tuple(self.tensors[name].shape)
        raise UserError(
            f"This is no {self._family} as the reference implementation names it: it has no tensor "
            f"'{module}.weight'."
        )

    def count(self, pattern: str) -> int:
        """One more than the highest number that the group of `pattern` finds at a name's beginning."""
        found = [re.match(pattern, name) for name in self.tensors]
        return 1 + max((int(match[1]) for match in found if match), default=-1)
