"""Scores all utterances of all sources."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

from allophone.audio.files import write_audio
from allophone.errors import UserError
from allophone.metrics.protocol import SynthesizedSpeech
from allophone.metrics.scores import has_what_it_needs, score
from allophone.processes.progress import Track, untracked
from allophone.registry import Registry
from allophone_evaluate.items import Item
from allophone_evaluate.opening import OpenMetric
from allophone_evaluate.sources import Source


@frozen(kw_only=True)
class Row:
    """One utterance of one source.

    seconds: of its audio.
    scores: by name; one that could not be computed is missing.
    weights: how much each counts in its mean.
    audio: where its audio is kept.
    """

    source: str
    item: Item
    seconds: float
    scores: Mapping[str, float]
    weights: Mapping[str, float]
    audio: Path

    @property
    def id(self) -> str:
        return self.item.request.id


@frozen(kw_only=True)
class Failure:
    """What failed: a metric, or, where `metric` is None, to get the speech of an utterance or its reference."""

    source: str
    id: str
    metric: str | None
    reason: str


@frozen(kw_only=True)
class Evaluation:
    """The results: sources in order, and for each the rows and failures in order of the items."""

    sources: tuple[str, ...]
    rows: tuple[Row, ...] = field(repr=False)
    failures: tuple[Failure, ...]

    def of(self, source: str) -> tuple[Row, ...]:
        """The rows of one source."""
        return tuple(row for row in self.rows if row.source == source)


Scored = tuple[Row | None, tuple[Failure, ...]]
"""What became of one item: no row if its speech could not be had."""


def evaluate(
    sources: Sequence[Source],
    items: Sequence[Item],
    metrics: Sequence[OpenMetric],
    *,
    audio: Path,
    registry: Registry,
    track: Track = untracked,
) -> Evaluation:
    """Let each source speak each item, and score the speech. What fails is recorded, and the rest goes on.

    audio: a folder to keep the speech in, `<number of the source>-<id>.wav`.
    """
    results: list[Scored] = []
    for number, source in enumerate(sources):
        results += [
            evaluate_item(source, number, item, metrics, audio=audio, registry=registry)
            for item in track(items, total=len(items), description=source.name)
        ]
    return collect(tuple(source.name for source in sources), results)


def collect(sources: tuple[str, ...], results: Sequence[Scored]) -> Evaluation:
    """Put the results of all items of all sources together, in order."""
    return Evaluation(
        sources=sources,
        rows=tuple(row for row, _ in results if row is not None),
        failures=tuple(failure for _, failures in results for failure in failures),
    )


def evaluate_item(
    source: Source,
    number: int,
    item: Item,
    metrics: Sequence[OpenMetric],
    *,
    audio: Path,
    registry: Registry,
) -> Scored:
    """Let a source, which has a number, speak an item, and score the speech."""
    id = item.request.id
    try:
        speech = _spoken(source, item)
        path = audio / f"{number}-{id}.wav"
        write_audio(path, speech.samples, speech.sample_rate)
    except Exception as error:
        return None, (Failure(source=source.name, id=id, metric=None, reason=_reason(error)),)
    failures: list[Failure] = []
    scores, weights = {}, {}
    for one in metrics:
        if not has_what_it_needs(one.entry, speech):
            continue
        try:
            found = score(one.entry, one.metric, [speech])
        except Exception as error:
            reason = registry.describe_failure("metrics", one.entry.name, error)
            failures.append(
                Failure(source=source.name, id=id, metric=one.entry.name, reason=reason)
            )
            continue
        for name, scored in found.items():
            if math.isfinite(scored.values[0]):
                scores[name], weights[name] = scored.values[0], scored.weights[0]
    row = Row(
        source=source.name,
        item=item,
        seconds=len(speech.samples) / speech.sample_rate,
        scores=scores,
        weights=weights,
        audio=path,
    )
    return row, tuple(failures)


def _spoken(source: Source, item: Item) -> SynthesizedSpeech:
    spoken = source.speak(item.request)
    reference = item.reference.read(spoken.sample_rate).samples if item.reference else None
    return SynthesizedSpeech(
        id=item.request.id,
        samples=spoken.samples,
        sample_rate=spoken.sample_rate,
        text=item.request.text or None,
        language=spoken.language,
        reference=reference,
        synthesis_seconds=spoken.synthesis_seconds,
        first_audio_seconds=spoken.first_audio_seconds,
    )


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
