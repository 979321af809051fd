"""Scores of many utterances: what a metric can score, whether its results are valid, and their means."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import frozen

from allophone.entries import MetricEntry
from allophone.metrics.protocol import Metric, SynthesizedSpeech


@frozen(kw_only=True)
class Scored:
    """One score of several utterances.

    values: one for each utterance, in order; NaN for one that could not be scored.
    weights: how much each counts in the mean; see `Metric`.
    """

    values: tuple[float, ...]
    weights: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The weighted mean of the finite values; NaN where there is none."""
        finite = [
            pair for pair in zip(self.values, self.weights, strict=True) if math.isfinite(pair[0])
        ]
        total = math.fsum(weight for _, weight in finite)
        return math.fsum(value * weight for value, weight in finite) / total if total else math.nan


def has_what_it_needs(entry: MetricEntry, speech: SynthesizedSpeech) -> bool:
    """Whether the utterance has the reference, the text and the times that the metric needs."""
    timed = None not in (speech.synthesis_seconds, speech.first_audio_seconds)
    return (
        not (entry.needs_reference and speech.reference is None)
        and not (entry.needs_text and speech.text is None)
        and (timed or not entry.needs_timing)
    )


def score(
    entry: MetricEntry, metric: Metric, speech: Sequence[SynthesizedSpeech]
) -> dict[str, Scored]:
    """The scores of utterances by name, with their weights.

    Raises ValueError where the results are not one for each utterance with the scores of the entry.
    """
    given = list(metric.score(speech))
    _check_number(given, speech)
    names = [score.name for score in entry.scores]
    for one in given:
        if set(one) != set(names):
            raise ValueError(f"it returns {sorted(one)}, but its entry has {sorted(names)}")
    weigh = getattr(metric, "weights", None)
    weights = list(weigh(speech)) if weigh else [{} for _ in speech]
    _check_number(weights, speech)
    return {
        name: Scored(
            values=tuple(float(one[name]) for one in given),
            weights=tuple(float(one.get(name, 1.0)) for one in weights),
        )
        for name in names
    }


def _check_number(results: Sequence[object], speech: Sequence[SynthesizedSpeech]) -> None:
    if len(results) != len(speech):
        raise ValueError(f"it returns {len(results)} results for {len(speech)} utterances")
