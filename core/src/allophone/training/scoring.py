"""The metrics of [runtime.metrics], computed on samples of some validation utterances."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from attrs import evolve, frozen

from allophone.audio.files import resample
from allophone.config.experiment import Experiment, RuntimeConfig
from allophone.datasets.loading import Corpus
from allophone.entries import MetricEntry, Score
from allophone.errors import ConfigError, PluginError, UserError
from allophone.events import SampleAudio, SampleImage
from allophone.features.config import WaveformConfig
from allophone.metrics.protocol import Metric, MetricContext, SynthesizedSpeech
from allophone.metrics.scores import has_what_it_needs, score
from allophone.registry import Registry

_log = logging.getLogger(__name__)

_AUDIO = "/audio"
"""The suffix of samples that are synthesized speech."""


def configured_scores(experiment: Experiment, registry: Registry) -> dict[str, Score]:
    """List the scores of the metrics of an experiment, by name.

    Raises ConfigError if two have the same name, or if a setting names a score of a metric that the
    experiment does not have.
    """
    of_metric: dict[str, str] = {}
    scores: dict[str, Score] = {}
    for metric, config in experiment.runtime.metrics.items():
        for one in registry.entry_of("metrics", config).scores:
            if one.name in scores:
                raise ConfigError(
                    f"runtime.metrics: '{of_metric[one.name]}' and '{metric}' both return the score "
                    f"'{one.name}'.",
                    hint="Remove one of the two metrics.",
                )
            scores[one.name], of_metric[one.name] = one, metric
    for setting, name in named_metrics(experiment.runtime).items():
        if name in scores and scores[name].better == "neither":
            raise ConfigError(
                f"{setting} is '{name}', of which neither lower nor higher values are better.",
                hint="Choose a score that has a best value.",
            )
        for entry in registry.entries("metrics").values():
            if name not in scores and name in [one.name for one in entry.scores]:
                raise ConfigError(
                    f"{setting} is '{name}', a score of the metric '{entry.name}', which is not in "
                    "[runtime.metrics].",
                    hint=f"Add the table [runtime.metrics.{entry.name}].",
                )
    return scores


def named_metrics(config: RuntimeConfig) -> dict[str, str]:
    """Return the validation metrics or scores that the settings of a run name, by setting."""
    named = {
        "runtime.keep.best_metric": config.keep.best_metric,
        "runtime.early_stop.metric": config.early_stop.metric if config.early_stop else None,
    }
    return {setting: name for setting, name in named.items() if name is not None}


def check_names(scores: Iterable[str], metrics: Mapping[str, float]) -> None:
    """Raise ConfigError if a score has the name of a validation metric of the objective."""
    for name in scores:
        if name in metrics:
            raise ConfigError(
                f"'{name}' is both a validation metric of the trainer and a score of [runtime.metrics].",
                hint="Remove the metric with this score.",
            )


@frozen(kw_only=True)
class _Opened:
    name: str
    entry: MetricEntry
    metric: Metric


class SampleScorer:
    """Scores the samples of some validation utterances. A failing metric is logged and skipped."""

    def __init__(
        self, corpus: Corpus, ids: Sequence[str], *, registry: Registry, device: str
    ) -> None:
        """Build the metrics of the experiment, and read the recordings of the utterances `ids`.

        Raises ConfigError if a metric needs recordings or texts and no utterance has one, and PluginError if a
        metric cannot be built.
        """
        experiment = corpus.experiment
        self._known = {one.id: one for one in _known(corpus, set(ids))}
        self._reported: set[tuple[str, type[Exception]]] = set()
        self._registry = registry
        self._metrics: list[_Opened] = []
        context = MetricContext(audio=experiment.audio, device=device)
        for name, config in experiment.runtime.metrics.items():
            entry: MetricEntry = registry.entry_of("metrics", config)
            if not any(has_what_it_needs(entry, speech) for speech in self._known.values()):
                raise _needs(name, entry)
            build = registry.load("metrics", entry.name, "metric")
            try:
                metric = build(config, context)
            except UserError:
                raise
            except Exception as error:
                raise PluginError(
                    registry.describe_failure("metrics", entry.name, error)
                ) from error
            self._metrics.append(_Opened(name=name, entry=entry, metric=metric))

    def score(self, samples: Mapping[str, SampleAudio | SampleImage]) -> dict[str, float]:
        """Average each score over the samples `<id>/audio`; scores of metrics that fail are omitted."""
        speech = [
            self._speech(known, audio)
            for id, known in self._known.items()
            if isinstance(audio := samples.get(f"{id}{_AUDIO}"), SampleAudio)
        ]
        means: dict[str, float] = {}
        for opened in self._metrics:
            usable = [one for one in speech if has_what_it_needs(opened.entry, one)]
            if not usable:
                self._report(opened, ValueError("the samples have no audio that it can score"))
                continue
            try:
                scores = score(opened.entry, opened.metric, usable)
            except Exception as error:
                self._report(opened, error)
                continue
            for name, scored in scores.items():
                if math.isfinite(scored.mean):
                    means[name] = scored.mean
                pairs = zip(usable, scored.values, strict=True)
                without = [one.id for one, value in pairs if not math.isfinite(value)]
                if without:
                    self._report(opened, ValueError(f"it has no {name} for {', '.join(without)}"))
        return means

    def _speech(self, known: SynthesizedSpeech, audio: SampleAudio) -> SynthesizedSpeech:
        reference = known.reference
        if reference is not None:
            reference = resample(reference, known.sample_rate, audio.sample_rate)
        return evolve(
            known,
            samples=np.asarray(audio.samples, np.float32),
            sample_rate=audio.sample_rate,
            reference=reference,
        )

    def _report(self, opened: _Opened, error: Exception) -> None:
        """Log a warning, once for each type of error."""
        kind = (opened.name, type(error))
        if kind in self._reported:
            return
        self._reported.add(kind)
        described = self._registry.describe_failure("metrics", opened.entry.name, error)
        _log.warning("%s\nTraining continues without it.", described, exc_info=error)


def _known(corpus: Corpus, ids: set[str]) -> Iterable[SynthesizedSpeech]:
    """Yield the text and the recording of these utterances, without samples."""
    experiment = corpus.experiment
    stored_as = next(
        (name for name, of in experiment.features.items() if isinstance(of, WaveformConfig)), None
    )
    for item in corpus.items("valid"):
        if item.utterance.id not in ids:
            continue
        recorded = item.features[stored_as].read() if stored_as else None
        yield SynthesizedSpeech(
            id=item.utterance.id,
            samples=np.zeros(0, np.float32),
            sample_rate=experiment.audio.sample_rate,
            text=item.utterance.text or None,
            language=item.utterance.language or experiment.text.language,
            reference=recorded,
        )


def _needs(name: str, entry: MetricEntry) -> ConfigError:
    if entry.needs_timing:
        return ConfigError(
            f"runtime.metrics.{name} needs the times of synthesis, which training does not measure.",
            hint="Remove the metric; it is for finished voices.",
        )
    if entry.needs_reference:
        return ConfigError(
            f"runtime.metrics.{name} needs recordings, but the experiment stores none.",
            hint="Add the table [features.waveform], and run `allophone extract`.",
        )
    return ConfigError(
        f"runtime.metrics.{name} needs the text of the validation utterances, but they have none.",
        hint="Remove the metric.",
    )
