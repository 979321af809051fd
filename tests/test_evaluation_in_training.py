"""The metrics of allophone-evaluate in `[runtime.metrics]`: a run that keeps its best checkpoint by one of them."""

from __future__ import annotations

import numpy as np
from attrs import evolve
from training_toys import MemoryCorpus, Recorder, make_experiment, toy_registry

from allophone.audio.melspec import MelSpec
from allophone.config import Experiment, structure
from allophone.config.experiment import KeepConfig
from allophone.data.manifest import Utterance
from allophone.datasets.feature_index import StoredUtterance
from allophone.events import Validated
from allophone.features.config import WaveformConfig
from allophone.training import run as run_module
from allophone.training.loop import train
from allophone.training.observers import registered
from allophone.training.ranks import Rank
from allophone_testing.corpus import synthetic_speech


class Stored:
    """A recording in the feature store, of 8 kHz."""

    def read(self):
        return synthetic_speech("the sun.", pitch=110, sample_rate=8000, seed=0)


class Recorded(MemoryCorpus):
    """Numbers, of which recordings and texts are stored."""

    def items(self, split):
        return tuple(
            StoredUtterance(
                utterance=Utterance(id=f"u{number}", audio="-", text="the sun."),
                seconds=1.0,
                features={"waveform": Stored()},
            )
            for number in self.split(split)
        )


def test_a_run_is_scored_at_each_validation(tmp_path, monkeypatch):
    monkeypatch.setattr(
        run_module, "open_corpus", lambda experiment, _: Recorded(experiment=experiment)
    )
    registry = toy_registry()
    plain = {"runtime": {"metrics": {"mcd": {}, "speaking-rate": {}}}}
    metrics = structure(Experiment, plain, registry=registry).runtime.metrics
    experiment = evolve(
        make_experiment(
            max_steps=4,
            validate_every=2,
            checkpoint_every=2,
            metrics=metrics,
            keep=KeepConfig(best_metric="mcd"),
        ),
        audio=MelSpec(sample_rate=8000),
        features={"waveform": WaveformConfig()},
    )
    recorder = Recorder()
    run = run_module.open_run(tmp_path / "run", experiment, rank=Rank(), registry=registry)
    with registered(registry, recorder):
        train(run)
    found = [event.metrics for event in recorder.of(Validated)]
    assert len(found) == 2
    assert all(np.isfinite(each["mcd"]) and each["mcd"] > 1 for each in found)
    # Six letters in the tenth of a second that the toy makes.
    assert all(40 < each["speaking_rate"] < 80 for each in found)
