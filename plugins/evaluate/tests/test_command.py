"""`allophone evaluate` as a whole, with the voice joe and with folders."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import allophone
from allophone.audio.files import write_audio
from allophone.cli import allophone as cli
from allophone.data.manifest import Utterance, write_manifest
from allophone.errors import UserError
from allophone_testing.corpus import synthetic_speech

CHEAP = ("--metric", "speed", "--metric", "pauses")


def run(*arguments, status=0):
    result = CliRunner().invoke(cli, ["evaluate", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return " ".join(result.output.split())


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("a|Good morning.\nb|The sun rose.\n", "utf-8")
    return path


@pytest.fixture
def folders(tmp_path):
    for name, pitch in (("first", 110), ("second", 160)):
        for id in "ab":
            samples = synthetic_speech(
                "the sun rose.", pitch=pitch, sample_rate=16000, seed=ord(id)
            )
            write_audio(tmp_path / name / f"{id}.wav", samples, 16000)
    return tmp_path / "first", tmp_path / "second"


def test_a_voice_speaks_texts(texts, tmp_path):
    said = run(
        *("--voice", "joe", "--engine", "onnx", "--texts", texts, "--json", tmp_path / "a.json"),
        *("--html", tmp_path / "a.html", "--keep", tmp_path / "audio", *CHEAP),
    )
    assert "rtf" in said
    report = json.loads((tmp_path / "a.json").read_text("utf-8"))
    scores = report["voices"]["joe"]
    assert 0 < scores["rtf"]["low"] <= scores["rtf"]["mean"] <= scores["rtf"]["high"]
    assert scores["first_audio"]["n"] == 2
    assert "joe" in (tmp_path / "a.html").read_text("utf-8")
    assert len(list((tmp_path / "audio").glob("*.wav"))) == 2


def test_controls_are_those_of_the_voice(texts, tmp_path):
    seconds = {}
    for scale in (1, 2):
        run(
            *("--voice", "joe", "--engine", "onnx", "--texts", texts, "--metric", "pauses"),
            *("--control", f"length_scale={scale}", "--json", tmp_path / "a.json"),
        )
        report = json.loads((tmp_path / "a.json").read_text("utf-8"))
        assert report["settings"]["controls"] == {"length_scale": scale}
        seconds[scale] = sum(one["seconds"] for one in report["utterances"])
    assert 1.6 < seconds[2] / seconds[1] < 2.1


def test_an_unknown_control_is_refused(texts):
    arguments = ["--voice", "joe", "--texts", str(texts), "--control", "length_scal=2"]
    with pytest.raises(UserError, match="length_scale"):
        CliRunner().invoke(cli, ["evaluate", *arguments], catch_exceptions=False)


def test_finished_speech_is_compared_with_a_manifest(folders, tmp_path):
    first, second = folders
    manifest = tmp_path / "manifest.jsonl"
    write_manifest(
        manifest,
        [
            Utterance(id=id, audio=str(first / f"{id}.wav"), text="the sun rose.", split=split)
            for id, split in (("a", "test"), ("b", "train"))
        ],
    )
    run(
        *("--audio", first, "--audio", second, "--manifest", manifest),
        *("--metric", "mcd", "--metric", "f0", "--json", tmp_path / "a.json"),
    )
    report = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert [one["id"] for one in report["utterances"]] == ["a", "a"]
    assert report["voices"]["first"]["mcd"]["mean"] == 0
    assert report["voices"]["second"]["f0_rmse"]["mean"] > 30


def test_a_voice_speaks_the_texts_of_a_manifest_beside_finished_speech(folders, tmp_path):
    first, second = folders
    manifest = tmp_path / "manifest.jsonl"
    write_manifest(
        manifest,
        [
            Utterance(id=id, audio=str(first / f"{id}.wav"), text="The sun rose.", split=split)
            for id, split in (("a", "valid"), ("b", "valid"), ("c", "test"))
        ],
    )
    run(
        *("--voice", "joe", "--engine", "onnx", "--audio", second, "--manifest", manifest),
        *("--split", "valid", "--metric", "mcd", "--json", tmp_path / "a.json"),
    )
    report = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert [(one["voice"], one["id"]) for one in report["utterances"]] == [
        *(("joe", "a"), ("joe", "b"), ("second", "a"), ("second", "b"))
    ]
    assert report["voices"]["joe"]["mcd"]["mean"] > 0
    (compared,) = report["comparisons"]
    assert (compared["first"], compared["second"], compared["n"]) == ("joe", "second", 2)


def test_what_cannot_be_used_is_left_out_with_the_reason(folders):
    first, second = folders
    said = run("--audio", second, "--reference", first)
    assert "mcd" in said
    assert "Left out: speed: it needs the times of synthesis, and no voice" in said
    assert "Left out: speaking-rate: it needs texts" in said


def test_a_file_that_is_missing_is_a_failure(folders, texts):
    first, _ = folders
    (first / "b.wav").unlink()
    said = run("--audio", first, "--texts", texts, "--metric", "pauses", status=1)
    assert "first: 1 utterance failed:" in said
    assert "has no file for 'b'" in said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--texts", "TEXTS"), "Give --voice or --audio"),
        (("--voice", "joe"), "Give --manifest, --texts or --reference"),
        (("--voice", "joe", "--reference", "FIRST"), "A voice needs texts"),
        (("--audio", "FIRST", "--texts", "TEXTS", "--split", "test"), "--split requires"),
        (("--audio", "FIRST", "--audio", "FIRST", "--texts", "TEXTS"), "are named 'first'"),
        (("--audio", "FIRST", "--texts", "TEXTS", "--manifest", "TEXTS"), "Omit --texts"),
        (("--audio", "FIRST", "--texts", "TEXTS", "--metric", "speed"), "'speed' cannot be used"),
        (("--voice", "joe", "--texts", "TEXTS", "--control", "x"), "not a valid --control"),
        (("--audio", "FIRST", "--texts", "TEXTS", "--control", "x=1"), "--control requires"),
        (("--audio", "FIRST", "--texts", "TEXTS", "--set", "f0"), "not a valid --set; expected"),
        (("--audio", "FIRST", "--texts", "TEXTS", "--set", "f0=1"), "not set an option"),
        (
            ("--audio", "FIRST", "--texts", "TEXTS", *CHEAP[2:], "--set", "f0.f_min=1"),
            "not among the chosen",
        ),
        (
            ("--audio", "FIRST", "--texts", "TEXTS", *CHEAP[2:], "--set", "pauses.second=1"),
            "pause_seconds",
        ),
        (
            ("--audio", "FIRST", "--texts", "TEXTS", "--metric", "intelligibility"),
            "Set intelligibility.model",
        ),
    ],
)
def test_a_mistake_is_refused(folders, texts, arguments, complaint, monkeypatch):
    monkeypatch.setattr(allophone, "load", lambda *place, **how: pytest.fail("loaded too early"))
    names = {"FIRST": folders[0], "TEXTS": texts}
    with pytest.raises(UserError, match=complaint):
        CliRunner().invoke(
            cli,
            ["evaluate", *(str(names.get(each, each)) for each in arguments)],
            catch_exceptions=False,
        )
