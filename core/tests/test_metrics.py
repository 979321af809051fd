"""Metrics of synthesized speech: the contract, and scoring while a model is trained."""

from __future__ import annotations

import json
import logging
import math
import re
import types

import numpy as np
import pytest
from _pytest.outcomes import Failed
from attrs import evolve, frozen
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_toys import MemoryCorpus, Recorder, make_experiment, toy_registry

from allophone.audio.melspec import MelSpec
from allophone.config import Experiment, structure
from allophone.config.experiment import KeepConfig
from allophone.data.manifest import Utterance
from allophone.datasets.feature_index import StoredUtterance
from allophone.entries import MetricEntry, Score
from allophone.errors import ConfigError, PluginError, UserError
from allophone.events import Validated
from allophone.features.config import WaveformConfig
from allophone.files.run_folder import checkpoints
from allophone.hookspecs import hookimpl
from allophone.training import run as run_module
from allophone.training.loop import train
from allophone.training.observers import registered
from allophone.training.ranks import Rank
from allophone_testing import MetricContract


@frozen(kw_only=True)
class LoudnessConfig:
    """The metric `loudness`. mistake: what it does wrong."""

    mistake: str = ""


class Loudness:
    """The level of speech, and of how much of it its reference is heard: higher is better."""

    def __init__(self, config, context):
        self.mistake = config.mistake
        self.asked = 0
        if self.mistake == "no model":
            raise KeyError("model")

    def score(self, speech):
        mistake = self.mistake
        self.asked += 1
        longest = max(len(one.samples) for one in speech)
        given = []
        for one in speech:
            shorter = min(len(one.samples), len(one.reference))
            error = np.sum((one.samples[:shorter] - one.reference[:shorter]) ** 2)
            level = -float(error) / len(one.samples)
            if mistake == "wrong way":
                level = -level
            if mistake == "counts":
                level += self.asked
            if mistake == "padding":
                level = -float(error) / longest
            if mistake == "changes":
                one.samples[:] = 0
            if mistake == "text":
                level += 0 * len(one.text)
            if mistake == "nan":
                level = math.nan
            if mistake == "timing":
                level += 0 * one.synthesis_seconds
            if mistake == "raises":
                raise OSError("no such model")
            given.append({"loud": level} if mistake != "other name" else {"lod": level})
        return given[:1] if mistake == "only one" else given

    def weights(self, speech):
        mistake = self.mistake
        if mistake == "weighs samples":
            return [{"loud": 1 + abs(one.samples).mean()} for one in speech]
        if mistake == "weighs nothing":
            return [{"loud": 0.0} for one in speech]
        if mistake == "weighs others":
            return [{"lod": 1.0} for one in speech]
        return [{}] if mistake == "weighs one" else [{} for one in speech]


class Rising:
    """The same for all, and more each time; so that the last checkpoint is the best, and the first if lower."""

    def __init__(self, config, context):
        self.asked = 0

    def score(self, speech):
        self.asked += 1
        assert all(one.text.startswith("text of") and one.language == "en-us" for one in speech)
        return [{"rise": self.asked + 0.1 * number} for number in range(len(speech))]


@frozen(kw_only=True)
class RisingConfig:
    """The metric `rising`."""


def metric_plugin(*, better="higher", needs_timing=False):
    module = types.ModuleType("judge")
    module.CONTRACT = 1

    @hookimpl
    def allophone_metrics():
        yield MetricEntry(
            name="loudness",
            summary="-",
            config=f"{__name__}:LoudnessConfig",
            metric=f"{__name__}:Loudness",
            scores=(Score(name="loud", better="higher"),),
            needs_reference=True,
        )
        yield MetricEntry(
            name="rising",
            summary="-",
            config=f"{__name__}:RisingConfig",
            metric=f"{__name__}:Rising",
            scores=(Score(name="rise", better=better),),
            needs_text=True,
            needs_timing=needs_timing,
        )

    module.allophone_metrics = allophone_metrics
    return module


def contract(test, mistake):
    class Mutant(MetricContract):
        metric = "loudness"
        options = {"mistake": mistake} if mistake else {}

    getattr(Mutant(), f"test_{test}")(toy_registry(judge=metric_plugin()))


@pytest.mark.parametrize(
    ("test", "mistake", "complaint"),
    [
        ("it_gives_the_scores_that_it_names", "other name", r"\['lod'\].* names \['loud'\]"),
        ("it_gives_the_scores_that_it_names", "nan", "loud is nan"),
        ("it_gives_the_same_again", "counts", "seed what is random"),
        ("several_at_once_get_what_each_gets_alone", "padding", "mask what pads"),
        ("several_at_once_get_what_each_gets_alone", "only one", "1 results for 3 utterances"),
        ("it_leaves_the_samples_as_they_are", "changes", "work on a copy"),
        ("identical_audio_is_best", "wrong way", "higher should be better"),
        ("it_needs_no_more_than_it_says", "text", "Set needs_text"),
        ("it_needs_no_more_than_it_says", "timing", "or needs_timing"),
        ("its_weights_depend_on_what_should_be_said", "weighs samples", "depends on the samples"),
        ("its_weights_depend_on_what_should_be_said", "weighs nothing", "of loud is 0.0"),
        ("its_weights_depend_on_what_should_be_said", "weighs others", r"weighs \['lod'\]"),
        ("its_weights_depend_on_what_should_be_said", "weighs one", "1 weights for 3"),
    ],
)
def test_the_contract_finds_a_mistake(test, mistake, complaint):
    contract(test, None)
    with pytest.raises((AssertionError, Failed), match=complaint):
        contract(test, mistake)


class Stored:
    """A recording in the feature store, of 8 kHz."""

    def read(self):
        return np.sin(np.arange(4000) / 10).astype(np.float32)


class JudgedCorpus(MemoryCorpus):
    """Numbers, of which recordings and texts are stored."""

    def items(self, split):
        return tuple(
            StoredUtterance(
                utterance=Utterance(id=f"u{number}", audio="-", text=f"text of {number}"),
                seconds=0.5,
                features={"waveform": Stored()},
            )
            for number in self.split(split)
        )


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """judged(metrics, ...) trains six steps of a toy in memory, validated at each second, with these metrics."""
    monkeypatch.setattr(
        run_module, "open_corpus", lambda experiment, _: JudgedCorpus(experiment=experiment)
    )

    def run(
        metrics,
        *,
        better="higher",
        needs_timing=False,
        recorded=True,
        folder="run",
        resume=None,
        **runtime,
    ):
        plugin = metric_plugin(better=better, needs_timing=needs_timing)
        registry = toy_registry(judge=plugin)
        plain = {"runtime": {"metrics": metrics}}
        configs = structure(Experiment, plain, registry=registry).runtime.metrics
        how = {"max_steps": 6, "validate_every": 2, "metrics": configs, **runtime}
        experiment = make_experiment(**how)
        experiment = evolve(
            experiment,
            audio=MelSpec(sample_rate=8000),
            features={"waveform": WaveformConfig()} if recorded else {},
        )
        recorder = Recorder()
        opened = run_module.open_run(
            tmp_path / folder, experiment, rank=Rank(), registry=registry, resume=resume
        )
        with registered(registry, recorder):
            train(opened)
        return recorder

    return run


def validated(recorder):
    return [event.metrics for event in recorder.of(Validated)]


def test_samples_are_judged_when_the_model_is_validated(judged, tmp_path):
    found = validated(judged({"mel-distance": {}, "rising": {}}))
    assert [metrics["rise"] for metrics in found] == pytest.approx([1.1, 2.1, 3.1])
    assert all(0 < metrics["mel_distance"] < 80 for metrics in found)
    assert all("loss" in metrics for metrics in found)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    written = [line["metrics"]["rise"] for line in lines if line["event"] == "validated"]
    assert written == pytest.approx([1.1, 2.1, 3.1])
    board = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    board.Reload()
    assert [point.step for point in board.Scalars("valid/mel_distance")] == [2, 4, 6]


def test_judging_does_not_change_the_training(judged):
    plain, watched = judged({}, folder="plain"), judged({"mel-distance": {}}, folder="watched")
    assert watched.losses == plain.losses
    assert [one["drawn"] for one in validated(watched)] == [
        one["drawn"] for one in validated(plain)
    ]


@pytest.mark.parametrize(("better", "best"), [("higher", [6]), ("lower", [2, 6])])
def test_the_best_checkpoint_by_a_score_is_kept(judged, tmp_path, better, best):
    keep = KeepConfig(last=1, best_metric="rise")
    judged({"rising": {}}, better=better, checkpoint_every=2, keep=keep)
    assert [checkpoint.step for checkpoint in checkpoints(tmp_path / "run")] == best


@pytest.mark.parametrize(
    ("mistake", "complaint"),
    [
        ("raises", r"OSError: no such model \(.*test_metrics.py:\d+\)"),
        ("other name", r"it returns \['lod'\], but its entry has \['loud'\]"),
        ("only one", "1 results for 3 utterances"),
        ("nan", "it has no loud for u100, u101, u102"),
    ],
)
def test_a_metric_that_fails_is_named_once_and_the_run_goes_on(judged, caplog, mistake, complaint):
    keep = KeepConfig(last=1, best_metric="loud")
    with caplog.at_level(logging.WARNING):
        found = validated(judged({"loudness": {"mistake": mistake}, "rising": {}}, keep=keep))
    assert len(found) == 3
    assert all("rise" in metrics and "loud" not in metrics for metrics in found)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert said[0].startswith("The metric 'loudness' of judge")
    assert re.search(complaint, said[0])


@pytest.mark.parametrize(
    ("metrics", "runtime", "complaint"),
    [
        ({"mel-distanc": {}}, {}, r"no metric 'mel-distanc'.\s+Did you mean 'mel-distance'"),
        ({"sharpness": {}}, {}, r"Available: .*loudness.* mel-distance.* rising"),
        (
            {"a": {"type": "rising"}, "b": {"type": "rising"}},
            {},
            "'a' and 'b' both return the score 'rise'",
        ),
        ({"rising": {}}, {"samples": 0}, "runtime.samples is 0"),
        ({"rising": {}}, {"keep": KeepConfig(best_metric="ris")}, "Did you mean 'rise'"),
        (
            {},
            {"keep": KeepConfig(best_metric="rise")},
            r"score of the metric 'rising'.*\s+Add the table \[runtime.metrics.rising\]",
        ),
        (
            {"rising": {}},
            {"keep": KeepConfig(best_metric="rise"), "better": "neither"},
            "neither lower nor higher values are better",
        ),
        ({"rising": {}}, {"needs_timing": True}, "needs the times of synthesis"),
        ({"mel-distance": {}}, {"recorded": False}, r"needs recordings.*\s.*waveform"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_the_first_step(
    judged, tmp_path, metrics, runtime, complaint
):
    with pytest.raises(UserError, match=complaint):
        judged(metrics, **runtime)
    written = tmp_path / "run" / "metrics.jsonl"
    assert not written.exists() or not written.read_text()


def test_a_metric_that_cannot_be_built_is_named_before_the_first_step(judged):
    with pytest.raises(PluginError, match=r"metric 'loudness' of judge fails: KeyError: 'model'"):
        judged({"loudness": {"mistake": "no model"}})


def test_a_trainer_without_samples_has_none_to_judge(judged, monkeypatch):
    monkeypatch.delattr("training_toys.Regressor.sample")
    with pytest.raises(ConfigError, match="makes no samples to score"):
        judged({"rising": {}})


def test_without_validation_nothing_is_judged_and_it_is_said(judged, monkeypatch, caplog):
    whole = JudgedCorpus.split
    monkeypatch.setattr(
        JudgedCorpus, "split", lambda self, split: () if split == "valid" else whole(self, split)
    )
    judged({"rising": {}}, keep=KeepConfig(best_metric="rise"))
    assert "Nothing is validated" in caplog.text
    assert "runtime.keep.best_metric = 'rise', [runtime.metrics] (rising)" in caplog.text


def test_a_score_that_the_trainer_s_own_metric_is_called_like_is_refused(judged, monkeypatch):
    entry = Score(name="loss", better="lower")
    monkeypatch.setattr(
        run_module, "configured_scores", lambda experiment, registry: {"loss": entry}
    )
    with pytest.raises(ConfigError, match="'loss' is both a validation metric of the trainer"):
        judged({"rising": {}})
