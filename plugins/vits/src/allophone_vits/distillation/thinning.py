"""The layers of a teacher that a student with fewer of them begins with.

Of L layers, a student with l of them takes the first, the last and others at equal distances, as DistilBERT takes every
second (Sanh et al. 2019, section 3).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from torch import Tensor

from allophone_vits.config import VitsConfig
from allophone_vits.distillation.config import FLOW, TEXT_ENCODER

_LAYERS = {
    TEXT_ENCODER: r"text_encoder\.blocks\.",
    FLOW: r"flow\.couplings\.\d+\.wavenet\.(?:gates|outputs)\.",
}
"""Patterns of the names of weights, up to the number of their layer."""


def thinned(
    weights: Mapping[str, Tensor], teacher: VitsConfig, student: VitsConfig, parts: Collection[str]
) -> dict[str, Tensor]:
    """The teacher's weights with the layers of these parts numbered as the student's; the layers between are left out."""
    found = dict(weights)
    for part in parts:
        if part in _LAYERS:
            theirs, ours = getattr(teacher, part).layers, getattr(student, part).layers
            if ours < theirs:
                found = _renumbered(found, _LAYERS[part], spread(theirs, ours))
    return found


def spread(layers: int, chosen: int) -> list[int]:
    """`chosen` of the indices of `layers`, at equal distances, with the first and the last."""
    if chosen == 1:
        return [layers - 1]
    return [round(index * (layers - 1) / (chosen - 1)) for index in range(chosen)]


def _renumbered(
    weights: Mapping[str, Tensor], pattern: str, chosen: list[int]
) -> dict[str, Tensor]:
    """Weights whose names are `pattern`, a number and the rest, with the number's place in `chosen`."""
    matching = re.compile(f"({pattern})(\\d+)(\\..*)")
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        match = matching.fullmatch(name)
        if match is None:
            found[name] = tensor
        elif int(match[2]) in chosen:
            found[f"{match[1]}{chosen.index(int(match[2]))}{match[3]}"] = tensor
    return found
