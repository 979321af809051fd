"""A report as tables on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from allophone_evaluate.report import Report

_ARROWS = {"lower": " ↓", "higher": " ↑", "neither": ""}
_SIGNIFICANT = 0.05
_SHOWN_FAILURES = 10


def show(report: Report) -> Iterator[RenderableType]:
    """The means with their intervals, the comparisons, what failed, and what was left out."""
    table = Table("score", title="mean and 95 % confidence interval (↓ lower is better, ↑ higher)")
    for voice in report["voices"]:
        table.add_column(escape(voice), justify="right")
    for name in report["metrics"]:
        table.add_row(
            _label(report, name), *(cell(scores[name]) for scores in report["voices"].values())
        )
    yield table
    if report["comparisons"]:
        yield _comparisons(report)
    yield from _failures(report)
    for name, why in report["left_out"].items():
        yield escape(f"Left out: {name}: {why}")


def cell(estimate: Mapping[str, Any]) -> str:
    """A mean with its interval: "4.1 (2 to 6.3)"; "-" if there is none."""
    if estimate["mean"] is None:
        return "-"
    shown = f"{estimate['mean']:.3g}"
    if estimate["low"] is not None:
        shown += f" ({estimate['low']:.3g} to {estimate['high']:.3g})"
    return shown


def _label(report: Report, name: str) -> str:
    about = report["metrics"][name]
    unit = f", {about['unit']}" if about["unit"] else ""
    return f"{name}{unit}{_ARROWS[about['better']]}"


def _comparisons(report: Report) -> Table:
    table = Table("score", "from", "to", title="paired differences", caption="* p < 0.05")
    for name in ("difference", "p", "utterances"):
        table.add_column(name, justify="right")
    for one in report["comparisons"]:
        difference = cell({**one, "mean": one["difference"]})
        p = "-" if one["p"] is None else f"{one['p']:.3f}{'*' if one['p'] < _SIGNIFICANT else ' '}"
        names = (_label(report, one["score"]), escape(one["first"]), escape(one["second"]))
        table.add_row(*names, difference, p, str(one["n"]))
    return table


def _failures(report: Report) -> Iterator[RenderableType]:
    counts = Counter((one["voice"], one["metric"]) for one in report["failures"])
    for (voice, metric), count in counts.items():
        utterances = f"{count} utterance{'s' * (count > 1)}"
        what = f"the metric '{metric}' failed on {utterances}" if metric else f"{utterances} failed"
        yield escape(f"{voice}: {what}:")
        failed = [
            one for one in report["failures"] if (one["voice"], one["metric"]) == (voice, metric)
        ]
        for one in failed[:_SHOWN_FAILURES]:
            yield escape(f"  {one['id']}: {one['reason']}")
        if count > _SHOWN_FAILURES:
            yield f"  and {count - _SHOWN_FAILURES} more"
