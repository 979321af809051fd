"""The contract of an evaluation metric.

from allophone_testing import MetricContract

class TestWordErrors(MetricContract):
    metric = "word-errors"
    options = {"model": "tiny"}
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from attrs import evolve

from allophone.audio.melspec import MelSpec
from allophone.config import Experiment, structure
from allophone.entries import MetricEntry
from allophone.metrics.protocol import Metric, MetricContext, SynthesizedSpeech
from allophone.registry import Registry
from allophone_testing.contract import Contract
from allophone_testing.corpus import synthetic_speech

ROUNDING = 1e-4
"""By how much two ways to compute the same may differ, relative to its size."""

_TEXTS = ("boats came home.", "the sun rose over a quiet sea.", "warm light.")


class MetricContract(Contract):
    """A metric returns the scores of its entry, the same each time, and does not modify its input.

    metric: its name, `[runtime.metrics.<name>]`.
    options: what its table has.
    sample_rate: of the speech that it is given, Hz.
    """

    metric: str
    options: Mapping[str, Any] = {}
    sample_rate: int = 16000

    @classmethod
    def speech(cls) -> list[SynthesizedSpeech]:
        """What it is given: utterances of several lengths, with a little noise, and their references.

        Override it where a metric needs true speech.
        """
        noise = np.random.default_rng(0)
        given = []
        for number, text in enumerate(_TEXTS):
            clean = synthetic_speech(text, pitch=110, sample_rate=cls.sample_rate, seed=number)
            noisy = clean + 0.05 * noise.standard_normal(len(clean)).astype(np.float32)
            given.append(
                SynthesizedSpeech(
                    id=f"utterance-{number}",
                    samples=noisy,
                    sample_rate=cls.sample_rate,
                    text=text,
                    language="en",
                    reference=clean,
                    synthesis_seconds=0.1 * (number + 1),
                    first_audio_seconds=0.02 * (number + 1),
                )
            )
        return given

    def test_it_gives_the_scores_that_it_names(self, registry: Registry) -> None:
        names = {score.name for score in self._entry(registry).scores}
        for one in self._score(registry, self.speech()):
            assert set(one) == names, (
                f"It gives {sorted(one)}, and its MetricEntry names {sorted(names)}."
            )
            for name, value in one.items():
                assert math.isfinite(value), (
                    f"{name} is {value} for speech that it should be able to score."
                )

    def test_it_gives_the_same_again(self, registry: Registry) -> None:
        metric = self._build(registry)
        first, second = (list(metric.score(self.speech())) for _ in range(2))
        assert first == second, (
            f"The same speech is {first} first and {second} then: seed what is random."
        )
        other = self._score(registry, self.speech())
        assert _alike(first, other), (
            f"Built anew it gives {other} for the same speech, not {first}."
        )

    def test_several_at_once_get_what_each_gets_alone(self, registry: Registry) -> None:
        speech = self.speech()
        together = self._score(registry, speech)
        assert len(together) == len(speech), (
            f"It gives {len(together)} results for {len(speech)} utterances: one for each, in order."
        )
        alone = [self._score(registry, [one])[0] for one in speech]
        assert _alike(together, alone), (
            f"Together it gives {together}, one by one {alone}: mask what pads the shorter ones."
        )

    def test_it_leaves_the_samples_as_they_are(self, registry: Registry) -> None:
        speech, before = self.speech(), self.speech()
        self._score(registry, speech)
        for one, copy in zip(speech, before, strict=True):
            for name in ("samples", "reference"):
                assert np.array_equal(getattr(one, name), getattr(copy, name)), (
                    f"It changes the {name} of its input, which is used elsewhere: work on a copy."
                )

    def test_identical_audio_is_best(self, registry: Registry) -> None:
        entry = self._entry(registry)
        if not entry.needs_reference:
            pytest.skip("It compares with no reference.")
        speech = [one for one in self.speech() if one.reference is not None]
        same = [evolve(one, samples=one.reference) for one in speech]  # type: ignore[arg-type]
        for noisy, exact in zip(
            self._score(registry, speech), self._score(registry, same), strict=True
        ):
            for score in entry.scores:
                if score.better == "neither":
                    continue
                further = noisy[score.name] - exact[score.name]
                worse = further if score.better == "lower" else -further
                assert worse >= -ROUNDING * abs(exact[score.name]), (
                    f"{score.name} is {exact[score.name]:g} for speech that is identical to its reference and "
                    f"{noisy[score.name]:g} with noise added, and {score.better} should be better."
                )

    def test_it_needs_no_more_than_it_says(self, registry: Registry) -> None:
        entry = self._entry(registry)
        bare = [
            evolve(
                one,
                text=one.text if entry.needs_text else None,
                language=one.language if entry.needs_text else None,
                reference=one.reference if entry.needs_reference else None,
                synthesis_seconds=one.synthesis_seconds if entry.needs_timing else None,
                first_audio_seconds=one.first_audio_seconds if entry.needs_timing else None,
            )
            for one in self.speech()
        ]
        try:
            self._score(registry, bare)
        except Exception as error:
            pytest.fail(
                f"Without what its entry does not ask for it raises {type(error).__name__}: {error}. Set "
                "needs_text, needs_reference or needs_timing in its MetricEntry."
            )

    def test_its_weights_depend_on_what_should_be_said(self, registry: Registry) -> None:
        weigh = getattr(self._build(registry), "weights", None)
        if weigh is None:
            pytest.skip("All utterances count the same.")
        speech = self.speech()
        weights = list(weigh(speech))
        names = {score.name for score in self._entry(registry).scores}
        assert len(weights) == len(speech), (
            f"It gives {len(weights)} weights for {len(speech)} utterances: one for each, in order."
        )
        for one in weights:
            assert set(one) <= names, (
                f"It weighs {sorted(one)}, and its scores are {sorted(names)}."
            )
            for name, value in one.items():
                assert 0 < value < math.inf, f"The weight of {name} is {value}."
        silent = [evolve(one, samples=np.zeros_like(one.samples)) for one in speech]
        assert list(weigh(silent)) == weights, (
            "A weight depends on the samples, so that voices could not be compared."
        )

    def _entry(self, registry: Registry) -> MetricEntry:
        entry: MetricEntry = registry.find("metrics", self.metric)
        return entry

    def _build(self, registry: Registry) -> Metric:
        tables = {"runtime": {"metrics": {self.metric: dict(self.options)}}}
        config = structure(Experiment, tables, registry=registry).runtime.metrics[self.metric]
        context = MetricContext(audio=MelSpec(sample_rate=self.sample_rate, f_max=None))
        metric: Metric = registry.load("metrics", self.metric, "metric")(config, context)
        return metric

    def _score(
        self, registry: Registry, speech: Sequence[SynthesizedSpeech]
    ) -> list[Mapping[str, float]]:
        return list(self._build(registry).score(speech))


def _alike(first: Sequence[Mapping[str, float]], second: Sequence[Mapping[str, float]]) -> bool:
    return len(first) == len(second) and all(
        one.keys() == other.keys()
        and all(
            math.isclose(one[name], other[name], rel_tol=ROUNDING, abs_tol=1e-6) for name in one
        )
        for one, other in zip(first, second, strict=True)
    )
