"""Opens the metrics of an evaluation, and says why one is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from allophone.config import structure, unstructure
from allophone.entries import MetricEntry, Score
from allophone.errors import ConfigError, PluginError, UserError, near_miss
from allophone.metrics.protocol import Metric, MetricContext
from allophone.registry import Registry


@frozen(kw_only=True)
class OpenMetric:
    """A metric that is ready, and what it was built with."""

    entry: MetricEntry
    metric: Metric = field(repr=False)
    options: Mapping[str, Any]


@frozen(kw_only=True)
class Available:
    """What the utterances of an evaluation have: references, texts, and times of synthesis."""

    references: bool
    texts: bool
    times: bool

    def lacks(self, entry: MetricEntry) -> str | None:
        """What the metric needs and no utterance has."""
        if entry.needs_reference and not self.references:
            return "it compares with recordings, and there are none"
        if entry.needs_text and not self.texts:
            return "it needs texts, and there are none"
        if entry.needs_timing and not self.times:
            return "it needs the times of synthesis, and no voice is evaluated"
        return None


def open_metrics(
    names: Sequence[str],
    options: Mapping[str, Mapping[str, Any]],
    *,
    available: Available,
    context: MetricContext,
    registry: Registry,
) -> tuple[tuple[OpenMetric, ...], dict[str, str]]:
    """Build metrics, and return which are left out and why.

    names: those to build, each of which must be possible; empty for all installed metrics that are possible.
    options: the tables of metrics by name.

    Raises UserError for an unknown name, a metric in `names` or `options` that is not possible, and if none is.
    """
    entries: Mapping[str, MetricEntry] = registry.entries("metrics")
    for name in (*names, *options):
        registry.find("metrics", name)
    unused = [name for name in options if names and name not in names]
    if unused:
        raise UserError(
            f"'{unused[0]}' has options and is not among the chosen metrics.",
            hint=f"Add --metric {unused[0]}, or leave its options out.",
        )
    opened: list[OpenMetric] = []
    left_out: dict[str, str] = {}
    for name in dict.fromkeys(names) or sorted(entries):
        entry = entries[name]
        wanted = name in names or name in options
        if lacking := available.lacks(entry):
            if wanted:
                raise UserError(f"The metric '{name}' cannot be used: {lacking}.")
            left_out[name] = f"{lacking}."
            continue
        try:
            opened.append(_open(entry, options.get(name, {}), context, registry))
        except UserError as error:
            if wanted:
                raise
            left_out[name] = " ".join(str(error).split())
    if not opened:
        reasons = "\n".join(f"  {name}: {why}" for name, why in left_out.items())
        raise UserError(f"None of the installed metrics can be used:\n{reasons}")
    _check_unique(opened)
    return tuple(opened), left_out


def scores_of(metrics: Sequence[OpenMetric]) -> dict[str, Score]:
    """The scores of metrics by name, in order."""
    return {score.name: score for one in metrics for score in one.entry.scores}


def chosen_score(name: str | None, scores: Mapping[str, Score]) -> str | None:
    """The score by which utterances are ranked: `name`, or the first that has a best value.

    None if there is none. Raises UserError for a name that is not that of such a score.
    """
    ranked = [score.name for score in scores.values() if score.better != "neither"]
    if name is not None and name not in ranked:
        raise UserError(f"Utterances cannot be ranked by '{name}'.", hint=near_miss(name, ranked))
    return name or next(iter(ranked), None)


def _open(
    entry: MetricEntry, options: Mapping[str, Any], context: MetricContext, registry: Registry
) -> OpenMetric:
    config = structure(
        registry.load("metrics", entry.name, "config"),
        options,
        where=f"The metric '{entry.name}'",
        registry=registry,
    )
    build = registry.load("metrics", entry.name, "metric")
    try:
        metric = build(config, context)
    except UserError:
        raise
    except Exception as error:
        raise PluginError(registry.describe_failure("metrics", entry.name, error)) from error
    return OpenMetric(entry=entry, metric=metric, options=unstructure(config, registry=registry))


def _check_unique(metrics: Sequence[OpenMetric]) -> None:
    owners: dict[str, str] = {}
    for one in metrics:
        for score in one.entry.scores:
            other = owners.setdefault(score.name, one.entry.name)
            if other != one.entry.name:
                raise ConfigError(
                    f"The metrics '{other}' and '{one.entry.name}' both return the score '{score.name}'.",
                    hint="Choose metrics with --metric, without one of them.",
                )
