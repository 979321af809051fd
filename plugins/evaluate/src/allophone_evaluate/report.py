"""The report of an evaluation as plain data, which is the JSON file and what the table and the page show.

    {"format": 1,
     "metrics": {"wer": {"metric": "intelligibility", "better": "lower", "unit": "%"}, ...},
     "voices": {"joe": {"wer": {"mean": 4.1, "low": 2.0, "high": 6.3, "n": 20}, ...}},
     "comparisons": [{"score": "wer", "first": "joe", "second": "anna", "difference": ..., "low": ...,
                      "high": ..., "n": 20, "p": 0.02}, ...],
     "utterances": [{"voice": "joe", "id": "00001", "text": "...", "seconds": 2.1, "scores": {"wer": 0.0}}, ...],
     "failures": [{"voice": "joe", "id": "00002", "metric": None, "reason": "..."}],
     "left_out": {"mos": "..."},
     "settings": {...}}

Numbers that do not exist are null.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import asdict, frozen
from numpy.typing import NDArray

from allophone.files.atomic import atomic_write
from allophone_evaluate.evaluation import Evaluation, Row
from allophone_evaluate.opening import OpenMetric, scores_of
from allophone_evaluate.statistics import compare, estimate

Report = dict[str, Any]


def make_report(
    evaluation: Evaluation,
    metrics: Sequence[OpenMetric],
    *,
    left_out: Mapping[str, str],
    settings: Mapping[str, Any],
    resamples: int,
    seed: int,
) -> Report:
    """Summarize an evaluation. The same evaluation with the same seed gives the same report."""
    how = _How(resamples=resamples, seed=seed)
    names = list(scores_of(metrics))
    return {
        "format": 1,
        "metrics": {
            score.name: {"metric": one.entry.name, "better": score.better, "unit": score.unit}
            for one in metrics
            for score in one.entry.scores
        },
        "voices": {
            source: {name: _estimate(evaluation.of(source), name, how) for name in names}
            for source in evaluation.sources
        },
        "comparisons": list(_comparisons(evaluation, names, how)),
        "utterances": [_row(row, names) for row in evaluation.rows],
        "failures": [
            {"voice": one.source, "id": one.id, "metric": one.metric, "reason": one.reason}
            for one in evaluation.failures
        ],
        "left_out": dict(left_out),
        "settings": {
            **settings,
            **asdict(how),
            "metrics": {one.entry.name: dict(one.options) for one in metrics},
        },
    }


def write_json(report: Report, path: Path) -> None:
    """Write a report as JSON, whole or not at all."""
    with atomic_write(path) as file:
        file.write(
            json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False).encode() + b"\n"
        )


@frozen(kw_only=True)
class _How:
    resamples: int
    seed: int


def _estimate(rows: Sequence[Row], name: str, how: _How) -> dict[str, Any]:
    values, weights = _values(rows, name)
    return _plain(asdict(estimate(values, weights, resamples=how.resamples, seed=how.seed)))


def _values(rows: Sequence[Row], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values of a score and their weights, of the rows that have it."""
    having = [row for row in rows if name in row.scores]
    return (
        np.array([row.scores[name] for row in having], np.float64),
        np.array([row.weights[name] for row in having], np.float64),
    )


def _comparisons(evaluation: Evaluation, names: Sequence[str], how: _How) -> list[dict[str, Any]]:
    """Each pair of sources by each score, over the utterances for which both have it."""
    compared = []
    for first, second in itertools.combinations(evaluation.sources, 2):
        rows = [{row.id: row for row in evaluation.of(source)} for source in (first, second)]
        for name in names:
            shared = [
                id
                for id, row in rows[0].items()
                if name in row.scores and id in rows[1] and name in rows[1][id].scores
            ]
            if not shared:
                continue
            (one, weights), (other, _) = (_values([of[id] for id in shared], name) for of in rows)
            found = compare(one, other, weights, resamples=how.resamples, seed=how.seed)
            compared.append(
                _plain(
                    {
                        "score": name,
                        "first": first,
                        "second": second,
                        "difference": found.difference.mean,
                        "low": found.difference.low,
                        "high": found.difference.high,
                        "n": found.difference.n,
                        "p": found.p,
                    }
                )
            )
    return compared


def _row(row: Row, names: Sequence[str]) -> dict[str, Any]:
    return {
        "voice": row.source,
        "id": row.id,
        "text": row.item.request.text or None,
        "seconds": row.seconds,
        "scores": {name: row.scores.get(name) for name in names},
    }


def _plain(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """With None for what is not a finite number, as JSON has no NaN."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in numbers.items()
    }
