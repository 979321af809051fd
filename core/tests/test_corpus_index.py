"""Manifests and stored features as columns: the same batches as from lists, and indexes that are never stale."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from attrs import evolve

from allophone.config import Experiment, structure
from allophone.data import index_files
from allophone.data.digests import digest_of
from allophone.data.key_table import KeyTable
from allophone.data.manifest import Dropped
from allophone.data.plans import PackedSteps
from allophone.data.vocabulary import Vocabulary
from allophone.datasets import corpus_index
from allophone.datasets.feature_index import FeatureIndex, StoredUtterance, prepared_utterances
from allophone.datasets.loading import open_corpus
from allophone.errors import UserError
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.registry import default_registry
from allophone.text.symbols import SymbolTable
from allophone_testing.corpus import write_corpus

FEATURES = ("waveform", "phonemes")


def experiment_in(folder, **data):
    """Two corpora of two speakers each, of which one has twice the weight."""
    for name in ("one", "two"):
        if not (folder / name).exists():
            write_corpus(folder / name, utterances=60, speakers=2, sample_rate=8000)
    corpora = [
        {
            "type": "table",
            "root": str(folder / name),
            "columns": ["audio", "text", "speaker"],
            "weight": weight,
        }
        for name, weight in (("one", 2.0), ("two", 0.5))
    ]
    return structure(
        Experiment,
        {
            "data": {
                "directory": str(folder / "data"),
                "corpora": corpora,
                "splits": {"valid": 20, "test": 3, "golden_test": 0},
                "batching": {"max_seconds": 16, "max_utterances": 4},
                **data,
            },
            "text": {"phonemizer": {"type": "graphemes"}},
            "audio": {"sample_rate": 8000},
            "features": {"waveform": {}, "phonemes": {}},
        },
    )


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    made = experiment_in(tmp_path_factory.mktemp("index"))
    prepare(made, default_registry())
    extract(made, default_registry())
    return made


def reject(lengths):
    if lengths["phonemes"] > 60:
        return Dropped(reason="too many phonemes", detail=f"{lengths['phonemes']}")
    return None


def test_batches_are_those_that_they_were_before_there_was_an_index(experiment, caplog):
    """The digest is of the batches that the same corpus gave when every utterance was an object."""
    corpus = open_corpus(experiment)
    whole = corpus.build_vocabulary()
    # A vocabulary of another voice, which knows fewer symbols and speakers.
    symbols = sorted(whole.symbols.ids)[:-2]
    other = Vocabulary(
        symbols=SymbolTable(ids={symbol: number for number, symbol in enumerate(symbols)}),
        speakers=whole.speakers[1:],
        languages=whole.languages,
    )
    found = [whole.to_json(), corpus.longest_seconds("train")]
    found.append([[u.id, u.text] for split in ("train", "valid") for u in corpus.split(split)])
    for vocabulary, refuse in ((whole, None), (whole, reject), (other, None)):
        for split, rank, world_size in (("train", 0, 1), ("train", 1, 2), ("valid", 0, 2)):
            loader = corpus.loader(
                split,
                features=FEATURES,
                vocabulary=vocabulary,
                reject=refuse,
                rank=rank,
                world_size=world_size,
                weighted=split == "train",
            )
            for _ in range(2):
                for batch in loader:
                    found.append([batch.ids, batch.speakers.tolist(), batch.audio_seconds])
                    found.append(batch["phonemes"].values.tolist())
                    found.append([batch[name].lengths.tolist() for name in FEATURES])
            found.append({id: [why.reason, why.detail] for id, why in loader.dropped.items()})
    found.append([[item.utterance.id, item.seconds] for item in corpus.stored])
    found.append(caplog.messages)
    assert digest_of(found) == "9929b336cb0714536f9449cae54aa2ae"


@pytest.fixture
def copied(experiment, tmp_path):
    """The extracted corpus in a folder of its own, without indexes."""
    shutil.copytree(experiment.data.directory, tmp_path / "data")
    shutil.rmtree(tmp_path / "data/index", ignore_errors=True)
    return changed(experiment, directory=str(tmp_path / "data"))


def changed(experiment, **data):
    return evolve(experiment, data=evolve(experiment.data, **data))


@pytest.fixture
def written(monkeypatch):
    """Counts how often the index of a corpus is written."""
    calls = []
    write = corpus_index._write

    def counted(*arguments):
        calls.append(1)
        # So that others come while it is being written.
        time.sleep(0.2)
        return write(*arguments)

    monkeypatch.setattr(corpus_index, "_write", counted)
    return calls


def texts(corpus):
    return [item.utterance.text for item in corpus.stored]


def test_an_index_is_written_once(copied, written):
    before = texts(open_corpus(copied))
    manifest = Path(copied.data.directory) / "manifest.jsonl"
    # Copied to another machine: other times, the same content.
    for path in (manifest, *(manifest.parent / "digests").iterdir()):
        os.utime(path, (1, 1))
    assert texts(open_corpus(copied)) == before
    assert len(written) == 1


def test_processes_that_start_together_write_one_index(copied, written):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: texts(open_corpus(copied)), range(4)))
    assert len(written) == 1
    assert found == [found[0]] * 4


def test_an_index_is_written_again_when_what_it_is_of_has_changed(copied, written):
    folder = Path(copied.data.directory)
    all_texts = texts(open_corpus(copied))
    manifest = folder / "manifest.jsonl"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(lines[1:]))
    assert texts(open_corpus(copied)) == all_texts[1:]
    assert len(written) == 2
    # A pack that is deleted takes its utterances with it.
    pack = next(path for path in folder.glob("features/phonemes-*/*.json") if path.stem != "key")
    kept = pack.read_bytes()
    pack.unlink()
    with pytest.raises(UserError, match=r"features of \d+ of 119 utterances are missing"):
        open_corpus(copied)
    pack.write_bytes(kept)
    assert texts(open_corpus(copied)) == all_texts[1:]
    # A recording that has changed since has another digest.
    digests = next((folder / "digests").iterdir())
    states = json.loads(digests.read_text())
    first = json.loads(lines[1])
    states[first["audio"]][2] = "0" * 32
    digests.write_text(json.dumps(states))
    with pytest.raises(UserError, match="features of 1 of 119 utterances are missing") as caught:
        open_corpus(copied)
    assert first["id"] in caught.value.message


def test_experiments_with_other_features_have_indexes_of_their_own(copied, written):
    fewer = evolve(copied, features={"waveform": copied.features["waveform"]})
    for _ in range(2):
        assert set(open_corpus(copied).stored[0].features) == {"waveform", "phonemes"}
        assert set(open_corpus(fewer).stored[0].features) == {"waveform"}
    assert len(written) == 2


@pytest.mark.parametrize("cut", [0, 10, 300, -1])
def test_a_damaged_index_is_written_again(copied, written, cut, caplog):
    before = texts(open_corpus(copied))
    for path in (Path(copied.data.directory) / "index").glob("*.columns"):
        path.write_bytes(path.read_bytes()[:cut] if cut >= 0 else b"x" * 1000)
    assert texts(open_corpus(copied)) == before
    assert len(written) == 2
    assert sum("is made again" in message for message in caplog.messages) >= 2


def test_the_index_of_a_folder_that_cannot_be_written_is_in_the_cache(
    copied, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(index_files.os, "access", lambda *_: False)
    before = texts(open_corpus(copied))
    assert not (Path(copied.data.directory) / "index").exists()
    assert len(list(tmp_path.glob("cache/allophone/index/*/*.columns"))) == 2
    assert texts(open_corpus(copied)) == before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"manifest\.jsonl:3 is not valid JSON"),
        ('{"id": "b", "audio": "b.wav"}', r"manifest\.jsonl:3 lacks text"),
        ('{"id": "\udcff", "audio": "b", "text": ""}', r"manifest\.jsonl:3 is not in UTF-8"),
    ],
)
def test_a_broken_line_is_named_by_its_number(copied, line, message):
    path = Path(copied.data.directory) / "manifest.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[2] = line.encode(errors="surrogateescape")
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(UserError, match=message):
        open_corpus(copied)


def test_two_utterances_with_one_id_are_refused(copied):
    path = Path(copied.data.directory) / "manifest.jsonl"
    first = path.read_text().splitlines()[0]
    with path.open("a") as file:
        file.write(json.dumps({**json.loads(first), "audio": "other.wav"}) + "\n")
    with pytest.raises(UserError, match="Two utterances have the id") as caught:
        open_corpus(copied)
    assert "other.wav" in caught.value.message


def test_a_corpus_is_pickled_as_the_path_of_its_index(copied):
    stored = open_corpus(copied).stored
    pickled = pickle.dumps(stored.corpus)
    assert len(pickled) < 2000
    again = pickle.loads(pickled)
    assert [again.utterance(row) for row in stored.rows.tolist()] == list(stored)
    path = Path(copied.data.directory) / "manifest.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    open_corpus(copied)
    with pytest.raises(UserError, match="was written again while it was in use"):
        pickle.loads(pickled)


def test_data_workers_read_the_same_batches(experiment):
    found = []
    for workers in (0, 2):
        batching = evolve(experiment.data.batching, workers=workers)
        corpus = open_corpus(changed(experiment, batching=batching))
        loader = corpus.loader("valid", features=FEATURES, vocabulary=corpus.build_vocabulary())
        found.append([(batch.ids, batch["waveform"].values.tolist()) for batch in loader])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "limits", [{"max_seconds": 3.0}, {"min_seconds": 3.0}, {"max_symbols": 30}, {}]
)
def test_limits_leave_out_the_same_utterances_as_extraction(experiment, limits):
    made = changed(experiment, limits=evolve(experiment.data.limits, **limits))
    index = FeatureIndex(made, default_registry())
    within = [
        utterance.id
        for utterance in prepared_utterances(made)
        if isinstance(index.find(utterance), StoredUtterance)
    ]
    assert [item.utterance.id for item in open_corpus(made).stored] == within
    assert (len(within) < 120) == bool(limits)


def test_steps_are_packed_and_read_back():
    steps = [[[3, 1], [0]], [[2], [5, 4, 6]]]
    packed = PackedSteps.of(steps)
    assert packed[:] == steps
    assert [list(packed.of_rank(rank)) for rank in (0, 1)] == [[[3, 1], [2]], [[0], [5, 4, 6]]]
    assert packed[-1] == steps[-1]
    with pytest.raises(IndexError):
        packed[2]
    with pytest.raises(TypeError):
        PackedSteps.of([[[0.5]]])


def test_keys_are_found_and_the_last_of_equal_ones_counts():
    keys = [bytes([number % 7] * 8 + [number // 7] * 8) for number in range(40)]
    table = KeyTable(b"".join([*keys, keys[3], keys[5]]))
    found = table.kept[table.find([*keys, bytes(16 * [99])])]
    assert table.find([bytes(16 * [99])]).tolist() == [-1]
    assert found[:40].tolist() == [{3: 40, 5: 41}.get(number, number) for number in range(40)]
    assert KeyTable(b"").find([keys[0]]).tolist() == [-1]


def test_excluded_utterances_are_left_out_without_another_index(copied, written):
    everything = [item.utterance.id for item in open_corpus(copied).stored]
    some = (everything[0], everything[50])
    rest = [id for id in everything if id not in some]
    fewer = changed(copied, exclude=some)
    assert [item.utterance.id for item in open_corpus(fewer).stored] == rest
    assert [utterance.id for utterance in prepared_utterances(fewer)] == rest
    assert len(written) == 1
    with pytest.raises(UserError, match="there is no utterance 'nobody'"):
        open_corpus(changed(copied, exclude=("nobody",)))
