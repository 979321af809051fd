"""An evaluation that other processes do (`allophone.processes.executors`), each some items of one source at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from allophone.metrics.protocol import MetricContext
from allophone.processes.executors import Executor, Task
from allophone.processes.progress import Track, untracked
from allophone.registry import default_registry
from allophone_evaluate.evaluation import Evaluation, Scored, collect, evaluate_item
from allophone_evaluate.items import Item
from allophone_evaluate.opening import Available, open_metrics
from allophone_evaluate.settings import AUDIO
from allophone_evaluate.sources import SourcesConfig

_PART = 16
"""Items of one source that a process evaluates at a time."""

Part = tuple[int, tuple[Item, ...]]
"""The number of a source, and items for it."""


@frozen(kw_only=True)
class Setup:
    """What a process needs in order to evaluate items.

    metrics: those to use, and `options` the tables of some of them.
    measures_time: whether the times of voices are measured.
    audio: a folder that all processes share.
    """

    sources: SourcesConfig
    metrics: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]]
    measures_time: bool
    audio: Path


def evaluate_divided(
    setup: Setup, items: Sequence[Item], *, executor: Executor, track: Track = untracked
) -> Evaluation:
    """Do what `evaluate` does in the processes of an executor."""
    names = setup.sources.names
    starts = range(0, len(items), _PART)
    parts: list[Part] = [
        (number, tuple(items[start : start + _PART]))
        for number in range(len(names))
        for start in starts
    ]
    places = {(number, part[0].request.id): place for place, (number, part) in enumerate(parts)}
    found: list[list[Scored]] = [[] for _ in parts]

    def work() -> Iterator[Item]:
        task = Task(start=f"{__name__}:start", arguments=(setup,))
        for (number, part), scored in executor.run(task, parts):
            found[places[number, part[0].request.id]] = scored
            yield from part

    setup.audio.mkdir(parents=True, exist_ok=True)
    for _ in track(work(), total=len(names) * len(items), description=" ".join(names)):
        pass
    return collect(names, [one for scored in found for one in scored])


def start(setup: Setup) -> Callable[[Part], list[Scored]]:
    """Return what evaluates a part in a process of an executor."""
    registry = default_registry()
    sources = setup.sources.open()
    for source in sources:
        source.measures_time &= setup.measures_time
    metrics, _ = open_metrics(
        setup.metrics,
        setup.options,
        available=Available(references=True, texts=True, times=True),
        context=MetricContext(audio=AUDIO, device=setup.sources.device),
        registry=registry,
    )

    def evaluate_part(part: Part) -> list[Scored]:
        number, items = part
        return [
            evaluate_item(
                sources[number], number, item, metrics, audio=setup.audio, registry=registry
            )
            for item in items
        ]

    return evaluate_part
