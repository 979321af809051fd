"""Converts state dicts of other projects: renaming tensors and inferring sizes from shapes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from allophone.errors import UserError
from allophone.weights.loading import compare

Rule = tuple[str, str | Callable[[re.Match[str]], str]]
"""A regular expression and its replacement."""

NORM_RULES: tuple[Rule, ...] = (
    (r"(^|\.)parametrizations\.weight\.original0$", r"\1weight_g"),
    (r"(^|\.)parametrizations\.weight\.original1$", r"\1weight_v"),
    (r"(^|\.)parametrizations\.weight\.original$", r"\1weight_orig"),
    (r"(^|\.)parametrizations\.weight\.0\._(u|v)$", r"\1weight_\2"),
)
"""Map weight norm and spectral norm tensors to their names from before PyTorch's parametrizations."""


def rename(name: str, rules: Iterable[Rule]) -> str:
    """Apply rules to a tensor name, one after another."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def convert_state_dict(
    tensors: Mapping[str, Tensor],
    target: Mapping[str, Tensor],
    reference_name: Callable[[str], str],
) -> dict[str, Tensor]:
    """Convert a state dict with the reference's names to that of a module; floats become float32.

    Tensors of weight norm and spectral norm are found under their old and new names. A weight whose
    weight norm was removed for inference is split into magnitude and direction again.

    tensors: state dict with the reference's names.
    target: state dict of the module; only names and shapes are used.
    reference_name: maps the name of a tensor in the module to its name in the reference.
    Raises UserError that lists missing tensors, unexpected tensors and wrong shapes.
    """
    given = {
        rename(name, NORM_RULES): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    names = {ours: rename(reference_name(ours), NORM_RULES) for ours in target}
    _split_weight_norm(given, names.values())
    comparison = compare(given, {theirs: target[ours] for ours, theirs in names.items()})
    problems = [
        *(f"missing: {name}" for name in comparison.missing),
        *(f"unexpected: {name}" for name in comparison.unexpected),
        *(
            f"{name}: shape {list(theirs)}, expected {list(ours)}"
            for name, (theirs, ours) in comparison.mismatched.items()
        ),
    ]
    if problems:
        raise UserError(
            f"{len(problems)} tensors do not match the model that its settings describe:\n  "
            + "\n  ".join(problems),
            hint="The file is corrupt, belongs to other settings, or is a variant of the model that "
            "this importer does not support.",
        )
    return {ours: given[theirs] for ours, theirs in names.items()}


def _split_weight_norm(given: dict[str, Tensor], names: Iterable[str]) -> None:
    """Split weights whose weight norm was removed into magnitude and direction."""
    for magnitude in names:
        weight = magnitude.removesuffix("_g")
        if magnitude.endswith("weight_g") and weight in given:
            direction = given.pop(weight)
            axes = tuple(range(1, direction.dim()))
            given[magnitude] = torch.linalg.vector_norm(direction, dim=axes, keepdim=True)
            given[f"{weight}_v"] = direction


class Shapes:
    """Looks up layer sizes in a reference's tensors: `Shapes(tensors, "VITS")("enc_p.proj")[0]`.

    family: name of the model family, for error messages.
    """

    def __init__(self, tensors: Mapping[str, Tensor], family: str) -> None:
        self.tensors = tensors
        self._family = family

    def __call__(self, module: str) -> tuple[int, ...]:
        """Return the shape of a module's weight, with or without weight norm, or of a tensor.

        Raises UserError if there is no such tensor.
        """
        for name in (f"{module}.weight", f"{module}.weight_v", module):
            if name in self.tensors:
                return tuple(self.tensors[name].shape)
        raise UserError(
            f"The weights are not from the reference implementation of {self._family}: there is no "
            f"tensor '{module}.weight'."
        )

    def count(self, pattern: str) -> int:
        """Count numbered modules: one more than the highest number in group 1 of `pattern`.

        `pattern` is matched at the start of each name.
        """
        found = [re.match(pattern, name) for name in self.tensors]
        return 1 + max((int(match[1]) for match in found if match), default=-1)
