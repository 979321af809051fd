"""Training on label phones warns if the front end produces other symbols."""

from __future__ import annotations

import types
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve, frozen

from allophone.config import Experiment, structure
from allophone.datasets.loading import open_corpus
from allophone.entries import FeatureExtractorEntry
from allophone.errors import PluginError
from allophone.hookspecs import hookimpl
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.registry import build_registry
from allophone.training import run
from allophone.training.run import warn_of_unknown_symbols
from allophone_testing.corpus import LABELS, PAUSE, write_corpus


@frozen(kw_only=True)
class PhonesConfig:
    """The table of the extractor `phones`."""


class PhonesExtractor:
    """The names in the label files of the synthetic corpus."""

    reads = frozenset({"labels"})
    key = {"version": 1}  # noqa: RUF012

    def __init__(self, config, context):
        pass

    def extract(self, utterances):
        for utterance in utterances:
            lines = Path(utterance.labels).read_text().splitlines()
            yield np.array([line.split()[2] for line in lines[1:]])


@hookimpl
def allophone_feature_extractors():
    yield FeatureExtractorEntry(
        name="named-phones",
        summary="A toy.",
        config=f"{__name__}:PhonesConfig",
        extractor=f"{__name__}:PhonesExtractor",
    )


REGISTRY = build_registry(
    {
        "toys": types.SimpleNamespace(
            CONTRACT=1, allophone_feature_extractors=allophone_feature_extractors
        )
    }
)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """An experiment whose phonemes are those of labels; the front end writes letters."""
    folder = tmp_path_factory.mktemp("labelled")
    write_corpus(folder, utterances=8, labels=True)
    plain = {
        "data": {
            "directory": str(folder / "data"),
            "corpora": [{"type": "table", "root": str(folder)}],
            "labels": str(folder / LABELS),
            "splits": {"valid": 1, "test": 1},
            "limits": {"min_seconds": 0.1},
        },
        "text": {"normalize": False, "phonemizer": {"type": "graphemes"}},
        "features": {"phonemes": {"type": "named-phones"}},
    }
    experiment = structure(Experiment, plain, registry=REGISTRY)
    prepare(experiment, REGISTRY)
    extract(experiment, REGISTRY)
    return experiment


def warned(experiment, caplog):
    corpus = open_corpus(experiment, REGISTRY)
    warn_of_unknown_symbols(corpus, corpus.build_vocabulary(), REGISTRY)
    return caplog.text


def test_symbols_missing_from_the_labels_are_counted(labelled, caplog):
    said = warned(labelled, caplog)
    assert "6 of 6 training texts" in said
    assert "' ' (6), '.' (6)" in said


def test_an_incomplete_phone_table_is_reported(labelled, caplog):
    text = evolve(labelled.text, phones={".": PAUSE})
    said = warned(evolve(labelled, text=text), caplog)
    assert "6 of 6 training texts" in said
    assert "[text.phones] has no entry for" in said


def test_texts_with_the_phones_of_the_labels_do_not_warn(labelled, caplog):
    letters = {letter: letter for letter in "abcdefghijklmnopqrstuvwxyz"}
    text = evolve(labelled.text, phones={**letters, " ": PAUSE, ".": PAUSE})
    assert not warned(evolve(labelled, text=text), caplog)


def test_training_on_phonemes_is_not_checked(labelled, caplog, monkeypatch):
    monkeypatch.setattr(run, "build_frontend", None)
    plain = structure(Experiment, {"features": {"phonemes": {}}}, registry=REGISTRY)
    of_texts = evolve(labelled, features=plain.features)
    extract(of_texts, REGISTRY)
    assert not warned(of_texts, caplog)


def test_a_missing_phonemizer_only_warns(labelled, caplog, monkeypatch):
    def absent(*arguments):
        raise PluginError("There is no phonemizer.")

    monkeypatch.setattr(run, "build_frontend", absent)
    assert (
        "Could not check whether this voice can read plain text: There is no phonemizer."
        in warned(labelled, caplog)
    )
