"""Checkpoints: atomic writing, safe reading and pruning."""

import errno
import json
import shutil
from pathlib import Path

import pytest
import torch
from attrs import evolve
from training_toys import make_corpus, make_experiment, toy_registry

from allophone.config import load_experiment
from allophone.config.experiment import KeepConfig
from allophone.data.vocabulary import read_vocabulary
from allophone.errors import UserError
from allophone.files.run_folder import (
    checkpoint_path,
    checkpoints,
    find_checkpoint,
    read_provenance,
)
from allophone.training import checkpoint as checkpoint_module
from allophone.training.checkpoint import Snapshot, prune, read_state, write_checkpoint
from allophone.weights.files import read_weights


@pytest.fixture(scope="module")
def registry():
    return toy_registry()


@pytest.fixture
def snapshot():
    experiment = make_experiment()
    return Snapshot(
        weights={"model.a": torch.arange(3.0)},
        average={"model.a": torch.zeros(3)},
        state={"step": 3, "tensors": [torch.ones(2)], "nested": {"name": ("x", None, 1.5)}},
        experiment=experiment,
        vocabulary=make_corpus(experiment).build_vocabulary(),
        epoch=2,
        validation={"loss": 0.5},
    )


def names_in(run):
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def test_a_checkpoint_holds_what_a_resume_and_a_voice_need(tmp_path, snapshot, registry):
    written = write_checkpoint(tmp_path, 7, snapshot, registry)
    assert written.path == tmp_path / "checkpoints" / "step-00000007"
    assert find_checkpoint(tmp_path) == find_checkpoint(written.path) == written
    assert torch.equal(
        read_weights(written.path / "model.safetensors")["model.a"], torch.arange(3.0)
    )
    assert torch.equal(read_weights(written.inference_weights)["model.a"], torch.zeros(3))
    assert load_experiment(written.path / "config.toml", registry=registry) == snapshot.experiment
    assert read_vocabulary(written.path / "vocabulary.json") == snapshot.vocabulary
    state = read_state(written)
    assert torch.equal(state["tensors"][0], torch.ones(2))
    assert state["nested"] == {"name": ("x", None, 1.5)}
    provenance = read_provenance(written)
    assert provenance["validation"] == {"loss": 0.5}
    assert provenance["trainer"]["distribution"] == "toy_training"
    assert {"allophone", "torch", "python"} <= provenance["distributions"].keys()


def test_without_an_average_voices_use_the_weights(tmp_path, snapshot, registry):
    written = write_checkpoint(tmp_path, 1, evolve(snapshot, average=None), registry)
    assert written.inference_weights.name == "model.safetensors"
    assert not (written.path / "average.safetensors").exists()


@pytest.mark.parametrize(
    "part", ["write_weights", "_write_state", "write_toml", "write_vocabulary"]
)
def test_a_checkpoint_is_never_half_written(tmp_path, snapshot, registry, monkeypatch, part):
    write_checkpoint(tmp_path, 1, snapshot, registry)
    write_part = getattr(checkpoint_module, part)

    def dies(*arguments):
        write_part(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_module, part, dies)
        with pytest.raises(KeyboardInterrupt):
            write_checkpoint(tmp_path, 2, snapshot, registry)
    assert [found.step for found in checkpoints(tmp_path)] == [1]
    unfinished, whole = names_in(tmp_path)
    assert unfinished.startswith(".writing-step-00000002-")
    assert whole == "step-00000001"
    write_checkpoint(tmp_path, 2, snapshot, registry)
    assert names_in(tmp_path) == ["step-00000001", "step-00000002"]


def test_a_checkpoint_is_never_half_deleted(tmp_path, snapshot, registry, monkeypatch):
    for step in (1, 2):
        write_checkpoint(tmp_path, step, snapshot, registry)

    def dies(path):
        next(path.iterdir()).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", dies)
        with pytest.raises(KeyboardInterrupt):
            prune(tmp_path, KeepConfig(last=1))
    assert [found.step for found in checkpoints(tmp_path)] == [2]
    write_checkpoint(tmp_path, 3, snapshot, registry)
    assert names_in(tmp_path) == ["step-00000002", "step-00000003"]


def test_a_checkpoint_of_the_same_step_is_replaced(tmp_path, snapshot, registry):
    write_checkpoint(tmp_path, 1, snapshot, registry)
    write_checkpoint(tmp_path, 1, evolve(snapshot, epoch=9), registry)
    assert read_provenance(find_checkpoint(tmp_path))["epoch"] == 9
    assert names_in(tmp_path) == ["step-00000001"]


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        (KeepConfig(last=2), [5, 6]),
        (KeepConfig(last=1, every=2), [2, 4, 6]),
        (KeepConfig(last=1, best_metric="loss"), [3, 6]),
        (KeepConfig(last=1, every=5, best_metric="loss"), [3, 5, 6]),
        (KeepConfig(last=1, best_metric="other"), [6]),
    ],
)
def test_the_last_every_nth_and_best_checkpoints_are_kept(tmp_path, snapshot, registry, keep, left):
    for step, loss in enumerate([0.9, 0.5, 0.1, 0.3, 0.1, 0.2], start=1):
        rated = evolve(snapshot, validation={"loss": loss})
        write_checkpoint(tmp_path, step, rated, registry)
    gone = prune(tmp_path, keep)
    assert [found.step for found in checkpoints(tmp_path)] == left
    assert sorted([*left, *(found.step for found in gone)]) == [1, 2, 3, 4, 5, 6]


def test_state_that_cannot_be_loaded_safely_is_refused(tmp_path, snapshot, registry):
    bad = evolve(snapshot, state={"objective": {"config": make_experiment()}})
    with pytest.raises(TypeError, match="Experiment"):
        write_checkpoint(tmp_path, 1, bad, registry)
    assert checkpoints(tmp_path) == []


def test_corrupt_and_missing_state_is_reported(tmp_path, snapshot, registry):
    written = write_checkpoint(tmp_path, 1, snapshot, registry)
    state = written.path / "state.pt"
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(UserError, match=r"state\.pt is damaged"):
        read_state(written)
    state.unlink()
    with pytest.raises(UserError, match="Cannot resume from") as caught:
        read_state(written)
    assert "--finetune" in caught.value.hint


def test_a_folder_without_checkpoints_is_reported(tmp_path):
    with pytest.raises(UserError, match="no checkpoint"):
        find_checkpoint(tmp_path)
    (checkpoint_path(tmp_path, 1).parent / ".writing-step-00000001").mkdir(parents=True)
    with pytest.raises(UserError, match="no checkpoint"):
        find_checkpoint(tmp_path)


def test_provenance_is_plain_json(tmp_path, snapshot, registry):
    written = write_checkpoint(tmp_path, 1, snapshot, registry)
    assert json.loads((written.path / "provenance.json").read_text())["step"] == 1


@pytest.mark.parametrize("refused", ["rename", "rmtree"])
def test_a_checkpoint_that_cannot_be_pruned_is_a_warning(
    tmp_path, snapshot, registry, monkeypatch, caplog, refused
):
    for step in (1, 2):
        write_checkpoint(tmp_path, step, snapshot, registry)

    def refuse(*_, **__):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(Path if refused == "rename" else shutil, refused, refuse)
        assert prune(tmp_path, KeepConfig(last=1)) == []
    assert "cannot be deleted" in caplog.text
    write_checkpoint(tmp_path, 3, snapshot, registry)
    assert find_checkpoint(tmp_path).step == 3
