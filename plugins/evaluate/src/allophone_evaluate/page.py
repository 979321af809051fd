"""The report as one HTML file, which loads nothing: tables, plots, and the worst utterances to listen to."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allophone.audio.files import Audio, read_audio
from allophone.audio.wav import pcm16, wav_header
from allophone.files.atomic import atomic_write
from allophone_evaluate.charts import plot
from allophone_evaluate.evaluation import Evaluation, Row
from allophone_evaluate.report import Report
from allophone_evaluate.table import cell

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fff }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .25rem .75rem; border-bottom: 1px solid #ccc; text-align: left; vertical-align: top }
td.number { text-align: right; white-space: nowrap }
svg { width: 100%; font-size: 13px } svg text { fill: #444 }
.utterance { fill: #38c; opacity: .3 } .interval { stroke: #125; stroke-width: 3 }
.mean { stroke: #125; stroke-width: 3 } .axis { stroke: #999 }
audio { height: 2rem; vertical-align: middle }
"""
_BETTER = {"lower": " (lower is better)", "higher": " (higher is better)", "neither": ""}


def write_page(
    report: Report, evaluation: Evaluation, path: Path, *, ranked_by: str | None, worst: int
) -> None:
    """Write the page, whole or not at all.

    ranked_by: the score by which utterances are ranked; None if no score has a best value.
    worst: how many utterances of each voice can be listened to.
    """
    parts = [
        *_scores(report),
        *_comparisons(report),
        *_failures(report),
        *(_worst(report, evaluation, ranked_by, worst) if ranked_by else ()),
        *_settings(report),
    ]
    title = escape("Evaluation of " + ", ".join(evaluation.sources))
    page = (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style>\n<h1>{title}</h1>\n" + "\n".join(parts) + "\n</html>\n"
    )
    with atomic_write(path) as file:
        file.write(page.encode())


def _scores(report: Report) -> Iterator[str]:
    yield "<p>Mean and 95 % confidence interval. In the plots, each dot is an utterance.</p>"
    rows = [
        [_label(report, name), *(cell(scores[name]) for scores in report["voices"].values())]
        for name in report["metrics"]
    ]
    yield _table(["score", *report["voices"]], rows)
    for name in report["metrics"]:
        values: dict[str, tuple[dict[str, Any], list[float]]] = {
            voice: (scores[name], []) for voice, scores in report["voices"].items()
        }
        for one in report["utterances"]:
            if one["scores"][name] is not None:
                values[one["voice"]][1].append(one["scores"][name])
        if drawn := plot(values):
            yield f"<h3>{escape(_label(report, name))}</h3>{drawn}"


def _comparisons(report: Report) -> Iterator[str]:
    if not report["comparisons"]:
        return
    yield "<h2>Paired differences</h2>"
    yield "<p>Over the utterances that both have; p by a permutation test.</p>"
    rows = []
    for one in report["comparisons"]:
        p = "-" if one["p"] is None else f"{one['p']:.3f}"
        difference = cell({**one, "mean": one["difference"]})
        label = _label(report, one["score"])
        rows.append([label, one["first"], one["second"], difference, p, str(one["n"])])
    yield _table(["score", "from", "to", "difference", "p", "utterances"], rows)


def _failures(report: Report) -> Iterator[str]:
    if report["failures"]:
        yield f"<h2>{len(report['failures'])} failures</h2>"
        rows = [
            [one["voice"], one["id"], one["metric"] or "synthesis", one["reason"]]
            for one in report["failures"]
        ]
        yield _table(["voice", "utterance", "what", "reason"], rows)


def _worst(report: Report, evaluation: Evaluation, name: str, count: int) -> Iterator[str]:
    yield f"<h2>The worst utterances by {escape(_label(report, name))}</h2>"
    lower = report["metrics"][name]["better"] == "lower"
    for source in evaluation.sources:
        rows = [row for row in evaluation.of(source) if name in row.scores]
        rows.sort(key=lambda row: row.scores[name], reverse=lower)
        if rows:
            yield f"<h3>{escape(source)}</h3><table>"
            yield "<tr><th>utterance</th><th>score</th><th>speech</th><th>reference</th></tr>"
            yield from (_listen(row, name) for row in rows[:count])
            yield "</table>"


def _listen(row: Row, name: str) -> str:
    speech = _player(read_audio(row.audio))
    reference = _player(row.item.reference.read()) if row.item.reference else "-"
    return (
        f"<tr><td>{escape(row.id)}<br>{escape(row.item.request.text)}</td>"
        f'<td class="number">{row.scores[name]:.3g}</td><td>{speech}</td><td>{reference}</td></tr>'
    )


def _player(audio: Audio) -> str:
    encoded = base64.b64encode(_wav(audio.samples, audio.sample_rate)).decode()
    return f'<audio controls preload="none" src="data:audio/wav;base64,{encoded}"></audio>'


def _wav(samples: NDArray[np.float32], sample_rate: int) -> bytes:
    return wav_header(sample_rate, samples=len(samples)) + pcm16(samples).tobytes()


def _settings(report: Report) -> Iterator[str]:
    yield "<h2>Settings</h2>"
    yield _table(
        ["setting", "value"], [[name, str(value)] for name, value in _flat(report["settings"])]
    )
    if report["left_out"]:
        yield "<h2>Metrics left out</h2>"
        yield _table(
            ["metric", "reason"], [[name, why] for name, why in report["left_out"].items()]
        )


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _label(report: Report, name: str) -> str:
    about = report["metrics"][name]
    unit = f", {about['unit']}" if about["unit"] else ""
    return f"{name}{unit}{_BETTER[about['better']]}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["".join(f"<th>{escape(each)}</th>" for each in head)]
    lines += ["".join(f"<td>{escape(each)}</td>" for each in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"
