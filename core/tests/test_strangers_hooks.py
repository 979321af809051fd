"""A stranger's distribution plugs in a batch sampler and a metric, and a model is trained with both."""

from __future__ import annotations

import json
import multiprocessing

import pytest
from echo_toy import experiment_in, stranger, train_on_rank
from torch.multiprocessing.spawn import start_processes

from allophone.errors import PluginError
from allophone.files.run_folder import checkpoints, find_checkpoint, read_provenance
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.training.loop import train
from allophone.training.ranks import Rank
from allophone.training.run import open_run
from allophone_testing.corpus import write_corpus
from allophone_testing.ranks import PRELOADED


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve utterances of two speakers, extracted."""
    folder = tmp_path_factory.mktemp("stranger")
    write_corpus(folder / "recordings", utterances=12, speakers=2, sample_rate=8000)
    experiment = experiment_in(folder)
    prepare(experiment, stranger())
    extract(experiment, stranger())
    return folder


def trained(run, experiment, resume=None):
    train(open_run(run, experiment, rank=Rank(), registry=stranger(), resume=resume))
    return [json.loads(line) for line in (run / "metrics.jsonl").open()]


def test_a_model_is_trained_with_both(folder, tmp_path):
    lines = trained(tmp_path / "run", experiment_in(folder, max_steps=12))
    steps = [line["metrics"] for line in lines if line["event"] == "step"]
    assert [step["utterances"] for step in steps] == [1.0] * 12
    speakers = [step["speaker"] for step in steps]
    assert {tuple(speakers[at : at + 2]) for at in range(0, 8, 2)} <= {(0.0, 1.0), (1.0, 0.0)}
    levels = [line["metrics"]["level"] for line in lines if line["event"] == "validated"]
    assert len(levels) == 4
    assert levels == sorted(levels)
    assert 0.5 < levels[0] < levels[-1] < 1
    distances = [line["metrics"]["mel_distance"] for line in lines if line["event"] == "validated"]
    assert max(distances) < 0.01, "a recording that is quieter is the same speech"
    best = read_provenance(checkpoints(tmp_path / "run")[-1])["validation"]
    assert best["level"] == max(levels)


def test_a_run_that_is_resumed_equals_one_that_was_not(folder, tmp_path):
    whole = trained(tmp_path / "whole", experiment_in(folder, max_steps=9))
    trained(tmp_path / "parts", experiment_in(folder, max_steps=3))
    last = find_checkpoint(tmp_path / "parts")
    parts = trained(tmp_path / "parts", experiment_in(folder, max_steps=9), resume=last)
    for one, other in zip(whole, parts, strict=True):
        assert one["metrics"] == other["metrics"]


@pytest.mark.slow
def test_two_ranks_share_the_batches_and_the_scores(folder, tmp_path):
    run = tmp_path / "run"
    multiprocessing.set_forkserver_preload(PRELOADED)
    start_processes(train_on_rank, args=(folder, run), nprocs=2, start_method="forkserver")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").open()]
    steps = [line["metrics"] for line in lines if line["event"] == "step"]
    assert [step["speaker"] for step in steps] == [0.5] * 4, "each rank has one speaker"
    levels = [line["metrics"]["level"] for line in lines if line["event"] == "validated"]
    assert len(levels) == 2
    assert 0.5 < levels[0] < levels[1]


def test_a_sampler_that_breaks_a_rule_is_named_before_the_first_step(folder, tmp_path):
    with pytest.raises(PluginError, match="'turns' of stranger .* neither in a batch nor dropped"):
        trained(tmp_path / "run", experiment_in(folder, max_steps=3, mistake="forgets"))
    assert not checkpoints(tmp_path / "run")
