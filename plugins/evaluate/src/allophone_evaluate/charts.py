"""The plot of one score: a line per voice with its utterances, its mean and its interval, as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_WIDTH, _LEFT, _RIGHT = 720, 150, 30
_LINE, _AXIS = 34, 24
_LONGEST_NAME = 20


def plot(voices: Mapping[str, tuple[Mapping[str, Any], Sequence[float]]]) -> str:
    """The plot of a score; "" if there is no value.

    voices: for each voice the estimate (`mean`, `low`, `high`; None where there is none) and the values of its
        utterances.
    """
    numbers = [value for _, values in voices.values() for value in values]
    if not numbers:
        return ""
    low, high = min(numbers), max(numbers)
    span = (high - low) or 1.0

    def at(value: float) -> float:
        return round(_LEFT + (value - low) / span * (_WIDTH - _LEFT - _RIGHT), 1)

    height = _LINE * len(voices) + _AXIS
    parts = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img">']
    for number, (name, (estimate, values)) in enumerate(voices.items()):
        parts += _line(
            name, estimate, [at(value) for value in values], at, y=_LINE * number + _LINE // 2
        )
    bottom = height - _AXIS
    parts.append(
        f'<line class="axis" x1="{_LEFT}" y1="{bottom}" x2="{_WIDTH - _RIGHT}" y2="{bottom}"/>'
    )
    for value, anchor in ((low, "start"), (high, "end")) if high > low else ((low, "start"),):
        parts.append(
            f'<text class="tick" x="{at(value)}" y="{bottom + 16}" text-anchor="{anchor}">{value:.3g}</text>'
        )
    return "".join([*parts, "</svg>"])


def _line(
    name: str, estimate: Mapping[str, Any], dots: Sequence[float], at: Any, *, y: int
) -> list[str]:
    short = name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"
    parts = [f'<text x="{_LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(short)}</text>']
    parts += [f'<circle class="utterance" cx="{dot}" cy="{y}" r="4"/>' for dot in dots]
    if estimate["low"] is not None:
        ends = at(estimate["low"]), at(estimate["high"])
        parts.append(f'<line class="interval" x1="{ends[0]}" y1="{y}" x2="{ends[1]}" y2="{y}"/>')
    if estimate["mean"] is not None:
        mean = at(estimate["mean"])
        parts.append(f'<line class="mean" x1="{mean}" y1="{y - 10}" x2="{mean}" y2="{y + 10}"/>')
    return parts
