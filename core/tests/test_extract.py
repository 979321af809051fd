"""`allophone extract`: in one process, in several, in shards, and after being killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
from attrs import evolve
from click.testing import CliRunner

from allophone.cli.extract import command
from allophone.config import resolve, write_toml
from allophone.data.manifest import read_manifest, write_manifest
from allophone.datasets.feature_index import FeatureIndex, StoredUtterance
from allophone.entries import NormalizerEntry
from allophone.errors import UserError
from allophone.hookspecs import hookimpl
from allophone.preparation import chunks
from allophone.preparation.extract import Shard, extract
from allophone.preparation.prepare import prepare
from allophone.processes.executors import LocalProcesses
from allophone.registry import build_registry, default_registry
from allophone_testing.corpus import write_corpus

N_UTTERANCES = 30


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 8)


@pytest.fixture
def recordings(tmp_path):
    write_corpus(tmp_path / "recordings", utterances=N_UTTERANCES, sample_rate=8000)
    return tmp_path / "recordings"


def experiment(tmp_path, directory="data", **data):
    """An experiment on the recordings; its TOML file lies beside them."""
    path = tmp_path / f"{directory}.toml"
    plain = {
        "data": {
            "directory": str(tmp_path / directory),
            "corpora": [{"type": "table", "root": str(tmp_path / "recordings")}],
            **data,
        },
        "text": {"phonemizer": {"type": "graphemes"}},
        "audio": {"sample_rate": 8000},
        "features": {"waveform": {}, "phonemes": {}},
    }
    write_toml(path, plain)
    return resolve(path).experiment


def prepared(tmp_path, directory="data", **data):
    made = experiment(tmp_path, directory, **data)
    prepare(made, default_registry())
    return made


def run(made, **arguments):
    return extract(made, default_registry(), **arguments)


def files(made):
    """The content of the store, without temporary files of killed processes."""
    folder = Path(made.data.directory) / "features"
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".tmp")
    }


def arrays(made):
    """All stored features of all utterances."""
    stored = FeatureIndex(made, default_registry())
    found = {}
    for utterance in read_manifest(Path(made.data.directory) / "manifest.jsonl"):
        item = stored.find(utterance)
        assert isinstance(item, StoredUtterance)
        found[utterance.id] = {name: array.read() for name, array in item.features.items()}
    return found


def test_everything_is_extracted_once(recordings, tmp_path):
    made = prepared(tmp_path)
    first = run(made)
    assert first.usable == N_UTTERANCES
    assert set(first.computed) == {"phonemes", "seconds", "waveform"}
    # Some of the little corpus's texts come twice, and twice means the same phonemes.
    assert first.computed["waveform"] == first.computed["seconds"] == N_UTTERANCES
    for id, features in arrays(made).items():
        samples, _ = soundfile.read(recordings / f"{id}.wav", dtype="float32")
        assert np.array_equal(features["waveform"], samples)
    before = files(made)
    second = run(made)
    assert not any(second.computed.values())
    assert (second.usable, second.seconds) == (first.usable, pytest.approx(first.seconds))
    assert files(made) == before


def test_a_run_with_nothing_to_do_reads_no_recording(recordings, tmp_path):
    made = prepared(tmp_path)
    run(made)
    manifest = read_manifest(tmp_path / "data/manifest.jsonl")
    for utterance in manifest:
        status = os.stat(utterance.audio)
        Path(utterance.audio).write_bytes(b"?" * status.st_size)
        os.utime(utterance.audio, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert run(made).usable == N_UTTERANCES


def test_two_processes_store_the_same_as_one(recordings, tmp_path):
    one, two = prepared(tmp_path, "one"), prepared(tmp_path, "two")
    alone, together = run(one), run(two, executor=LocalProcesses(2))
    assert alone.usable == together.usable
    assert alone.seconds == pytest.approx(together.seconds)
    assert arrays_equal(arrays(one), arrays(two))
    assert {name.split("/")[0] for name in files(one)} == {
        name.split("/")[0] for name in files(two)
    }


def arrays_equal(one, two):
    assert one.keys() == two.keys()
    return all(
        np.array_equal(one[id][name], two[id][name])
        for id in one
        for name in ("waveform", "phonemes")
    )


def test_all_shards_store_the_same_as_one_run(recordings, tmp_path):
    whole, parts = prepared(tmp_path, "whole"), prepared(tmp_path, "parts")
    run(whole)
    done = [run(parts, shard=Shard(index, 3)) for index in (3, 1, 2)]
    assert sum(part.usable for part in done) == N_UTTERANCES
    # The first of two shards with the same text stores its phonemes; that may be another one.
    assert {n: b for n, b in files(whole).items() if "phonemes" not in n} == {
        n: b for n, b in files(parts).items() if "phonemes" not in n
    }
    assert arrays_equal(arrays(whole), arrays(parts))
    assert not any(run(parts).computed.values())


@pytest.mark.parametrize("text", ["1", "0/2", "3/2", "a/b", "1/2/3", "-1/2"])
def test_an_invalid_shard_is_refused(text):
    with pytest.raises(UserError, match="Invalid --shard value"):
        Shard.parse(text)


def test_a_shard_is_parsed():
    assert Shard.parse("2/3") == Shard(2, 3)


def test_only_a_changed_text_is_extracted_again(recordings, tmp_path):
    made = prepared(tmp_path)
    run(made)
    path = tmp_path / "data/manifest.jsonl"
    manifest = list(read_manifest(path))
    manifest[5] = evolve(manifest[5], text="something quite different")
    write_manifest(path, manifest)
    assert run(made).computed == {"phonemes": 1, "seconds": 0, "waveform": 0}
    assert "".join(arrays(made)[manifest[5].id]["phonemes"]) == "something quite different"


def test_only_a_changed_recording_is_extracted_again(recordings, tmp_path):
    made = prepared(tmp_path)
    run(made)
    samples = np.linspace(-0.5, 0.5, 8000)
    soundfile.write(recordings / "utterance-007.wav", samples, 8000, subtype="PCM_16")
    assert run(made).computed == {"phonemes": 0, "seconds": 1, "waveform": 1}
    assert len(arrays(made)["utterance-007"]["waveform"]) == 8000


def test_a_corpus_that_has_moved_is_not_extracted_again(recordings, tmp_path):
    made = prepared(tmp_path)
    run(made)
    shutil.move(recordings, tmp_path / "moved")
    there = evolve(made.data.corpora[0], root=str(tmp_path / "moved"))
    moved = evolve(made, data=evolve(made.data, corpora=(there,)))
    prepare(moved, default_registry())
    assert not any(run(moved).computed.values())


def test_a_changed_setting_extracts_only_features_that_depend_on_it(recordings, tmp_path):
    made = prepared(tmp_path)
    run(made)
    unnormalized = evolve(made, text=evolve(made.text, normalize=False))
    computed = run(unnormalized).computed
    assert computed["phonemes"] > 0
    assert computed["waveform"] == computed["seconds"] == 0
    assert not any(run(made).computed.values())


def test_a_killed_run_continues_to_the_same_bytes(recordings, tmp_path):
    """SIGKILL in the middle of a run with processes of its own; they end with it."""
    whole, killed = prepared(tmp_path, "whole"), prepared(tmp_path, "killed")
    run(whole)
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import sys, time
            from allophone.config import resolve
            from allophone.data import store
            from allophone.processes.executors import LocalProcesses
            from allophone.preparation import chunks
            from allophone.preparation.extract import extract
            from allophone.registry import default_registry

            chunks.CHUNK = 8
            commit = store.FeatureStore.commit

            def slow_commit(self, results):
                time.sleep(0.05)
                commit(self, results)

            store.FeatureStore.commit = slow_commit

            if __name__ == "__main__":
                workers = int(sys.argv[2])
                executor = LocalProcesses(workers) if workers > 1 else None
                extract(resolve(sys.argv[1]).experiment, default_registry(), executor=executor)
            """
        )
    )
    features = tmp_path / "killed" / "features"
    for workers, packs in ((1, 3), (2, 7)):
        process = subprocess.Popen(
            [sys.executable, str(program), str(tmp_path / "killed.toml"), str(workers)],
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while len(list(features.rglob("*.bin"))) < packs and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert process.poll() is None, "it was done before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_for_the_end_of(process.pid)
    assert files(killed) != files(whole)
    resumed = run(killed)
    assert 0 < resumed.computed["waveform"] < N_UTTERANCES
    assert {n: b for n, b in files(killed).items() if "phonemes" not in n} == {
        n: b for n, b in files(whole).items() if "phonemes" not in n
    }
    assert arrays_equal(arrays(killed), arrays(whole))


def wait_for_the_end_of(group):
    """The processes that a killed one has started end by themselves."""
    deadline = time.monotonic() + 20
    while running(group):
        assert time.monotonic() < deadline, "a process has outlived the one that started it"
        time.sleep(0.05)


def running(group):
    """Processes of a group (where /proc tells), but not those that have ended unasked for."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state != "Z":
            found.append(path.parent.name)
    return found


def test_dropped_utterances_are_reported_with_the_reason(recordings, tmp_path):
    lines = (recordings / "metadata.csv").read_text().splitlines()
    lines[0] = "utterance-000.wav|..."
    lines.append("nowhere.wav|it was never recorded")
    lines.append("broken.wav|it was damaged")
    (recordings / "metadata.csv").write_text("\n".join(lines))
    (recordings / "broken.wav").write_bytes(b"RIFF")
    for name, seconds in (("utterance-001", 0.1), ("utterance-002", 30), ("utterance-003", 0.01)):
        soundfile.write(recordings / f"{name}.wav", np.full(int(8000 * seconds), 0.1), 8000)
    made = prepared(tmp_path, limits={"max_seconds": 10.0, "max_symbols": 30})
    done = run(made)
    reasons = {id: why.reason for id, why in done.dropped.items()}
    manifest = read_manifest(tmp_path / "data/manifest.jsonl")
    long_texts = {u.id for u in manifest if len(u.text) > 30}
    assert long_texts
    assert reasons == {
        **dict.fromkeys(long_texts, "too long"),
        "utterance-000": "empty text",
        "nowhere": "missing recording",
        "broken": "unreadable audio",
        "utterance-001": "too short",
        "utterance-002": "too long",
        "utterance-003": "too short",
    }
    listed = [json.loads(line) for line in done.report.read_text().splitlines()]
    assert {line["id"]: line["reason"] for line in listed} == reasons
    assert all(line["detail"] for line in listed)
    assert done.usable + len(reasons) == N_UTTERANCES + 2
    too_long = next(u for u in manifest if u.id == "utterance-002")
    assert FeatureIndex(made, default_registry()).lookup("waveform", too_long) is None


def test_wider_limits_extract_only_the_added_utterances(recordings, tmp_path):
    made = prepared(tmp_path, limits={"max_seconds": 2.5})
    first = run(made)
    assert 0 < len(first.dropped) < N_UTTERANCES
    wider = evolve(made, data=evolve(made.data, limits=evolve(made.data.limits, max_seconds=20.0)))
    second = run(wider)
    assert second.computed["waveform"] == len(first.dropped)
    assert second.computed["seconds"] == 0
    assert not second.dropped


def test_missing_files_are_extracted_once_they_exist(recordings, tmp_path):
    made = prepared(tmp_path)
    hidden = (recordings / "utterance-004.wav").rename(tmp_path / "hidden.wav")
    assert list(run(made).dropped) == ["utterance-004"]
    hidden.rename(recordings / "utterance-004.wav")
    assert run(made).computed["waveform"] == 1


def test_an_utterance_that_was_dropped_is_tried_again(recordings, tmp_path, monkeypatch):
    made = prepared(tmp_path)
    with monkeypatch.context() as patched:

        def refuse(*_, **__):
            raise UserError("needs a package")

        patched.setattr("allophone.features.recordings.read_audio", refuse)
        with pytest.raises(UserError, match="All 30 utterances were dropped") as caught:
            run(made)
        assert "unreadable audio: needs a package" in caught.value.message
    assert run(made).usable == N_UTTERANCES


def test_a_failing_extractor_names_the_utterances(recordings, tmp_path, monkeypatch):
    made = prepared(tmp_path)

    def fail(self, utterances):
        raise ZeroDivisionError

    monkeypatch.setattr("allophone.features.recordings.WaveformExtractor.extract", fail)
    with pytest.raises(ZeroDivisionError) as caught:
        run(made)
    assert caught.value.__notes__ == [
        "While extracting 'waveform' from utterance-000 to utterance-007."
    ]


def test_without_a_manifest_the_command_to_run_is_named(tmp_path):
    with pytest.raises(UserError, match="There is no manifest") as caught:
        run(experiment(tmp_path))
    assert "allophone prepare" in caught.value.hint


def test_the_feature_name_seconds_is_reserved(recordings, tmp_path):
    made = prepared(tmp_path)
    taken = evolve(made, features={"seconds": made.features["waveform"]})
    with pytest.raises(UserError, match=r"\[features\.seconds\]"):
        run(taken)


def test_the_command_reports(recordings, tmp_path):
    soundfile.write(recordings / "utterance-009.wav", np.full((16000, 2), 0.1), 16000)
    prepared(tmp_path, limits={"max_seconds": 3.0})
    result = CliRunner().invoke(
        command, [str(tmp_path / "data.toml"), "--workers", "1"], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert "1 recordings: mixed 2 channels into one" in result.output
    assert "1 recordings: resampled from 16000 to 8000 Hz" in result.output
    assert "too long" in result.output
    assert "newly extracted: phonemes" in result.output


class Telegraphic:
    """A normalizer."""

    def __call__(self, text):
        return f"{text} stop"


def with_telegraphic(monkeypatch, version):
    """A registry whose normalizer of English is `Telegraphic`."""

    @hookimpl
    def allophone_normalizers():
        yield NormalizerEntry(
            language="en",
            summary="Stop.",
            normalizer=f"{__name__}:Telegraphic",
            version=version,
        )

    module = types.ModuleType("telegraph")
    module.CONTRACT = 1
    module.allophone_normalizers = allophone_normalizers
    monkeypatch.setitem(sys.modules, __name__, types.SimpleNamespace(Telegraphic=Telegraphic))
    monkeypatch.setenv("ALLOPHONE_DISABLE_PLUGINS", "english")
    return build_registry({"telegraph": module}, strict=True)


def test_a_normalizer_of_another_version_has_its_texts_extracted_again(
    recordings, tmp_path, monkeypatch
):
    made = prepared(tmp_path)
    extract(made, with_telegraphic(monkeypatch, version=1))
    assert extract(made, with_telegraphic(monkeypatch, version=1)).computed["phonemes"] == 0
    again = extract(made, with_telegraphic(monkeypatch, version=2))
    assert again.computed["phonemes"] > 0
    assert again.computed["waveform"] == 0


def test_another_normalizer_extracts_the_phonemes_again(recordings, tmp_path, monkeypatch):
    made = prepared(tmp_path)
    extract(made, default_registry())
    before = arrays(made)

    registry = with_telegraphic(monkeypatch, version=1)
    again = extract(made, registry)
    assert again.computed["phonemes"] > 0
    assert again.computed["waveform"] == 0
    stored = FeatureIndex(made, registry)
    for utterance in read_manifest(tmp_path / "data/manifest.jsonl"):
        symbols = "".join(stored.find(utterance).features["phonemes"].read())
        assert symbols == "".join(before[utterance.id]["phonemes"]) + " stop"
