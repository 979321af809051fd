"""Voices in other formats: written whole or not at all, and spoken with as the voice itself."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from allophone.cli import allophone
from allophone.errors import PluginError, UserError
from allophone.inference.exporting import export_voice
from allophone.plugin import references
from allophone.synthesis.loading import find, light_engine, load


@pytest.fixture
def registry(toys):
    return toys.toy_registry()


@pytest.fixture
def voice(toys, registry, tmp_path):
    """The folder of a voice, in an empty one."""
    folder = tmp_path / "tim"
    toys.write_voice(folder, toys.stored_voice(), registry=registry)
    return folder


@pytest.mark.parametrize("streaming", [False, True])
def test_what_is_exported_says_what_the_voice_says(voice, registry, tmp_path, streaming):
    out = tmp_path / "deep" / "tim.tones"
    done = export_voice(voice, out, "tones", registry, streaming=streaming)
    assert done.format == "toy.tones"
    beside = () if streaming else (out.with_name("tim.tones.gain"),)
    assert done.written == (out, *beside)
    assert sorted(out.parent.iterdir()) == sorted(done.written)

    original, played = load(voice, registry=registry), load(out, registry=registry)
    said, expected = (one.say("Hello there.", seed=3) for one in (played, original))
    assert np.array_equal(said.samples, expected.samples)
    assert played.name == ("whole" if streaming else "tim")
    assert played.description.model is None


def test_a_voice_that_is_only_played_names_its_unknown_controls(voice, registry, tmp_path):
    export_voice(voice, tmp_path / "tim.tones", "tones", registry)
    with pytest.raises(UserError, match="lenght_scale"):
        load(tmp_path / "tim.tones", registry=registry).say("Hello.", lenght_scale=2)


@pytest.mark.parametrize(
    ("format_name", "streaming", "complaint", "hint"),
    [
        (None, False, "choose one with --format", "half, tones"),
        ("tone", False, "cannot be exported to 'tone'", "Did you mean 'tones'"),
        ("half", True, "toy.half does not support streaming", "--streaming"),
        ("half", False, "The disk is full", ""),
    ],
)
def test_what_cannot_be_exported_leaves_nothing(
    voice, registry, tmp_path, format_name, streaming, complaint, hint
):
    out = tmp_path / "out" / "tim.tones"
    with pytest.raises(UserError, match=complaint) as failure:
        export_voice(voice, out, format_name, registry, streaming=streaming)
    assert hint in str(failure.value)
    assert not out.parent.exists() or not list(out.parent.iterdir())


def test_models_without_exporters_say_so(toys, registry, tmp_path):
    folder = tmp_path / "mel"
    toys.write_voice(
        folder, toys.stored_voice(model=toys.ToyMelConfig(), weights={}), registry=registry
    )
    with pytest.raises(UserError, match="family 'toymel' cannot be exported: it has no exporters"):
        export_voice(folder, tmp_path / "out", None, registry)


@pytest.mark.parametrize("name", ["tim.tones", "tim.tones.gain"])
def test_nothing_is_replaced(voice, registry, tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=rf"{name} already exists"):
        export_voice(voice, tmp_path / "tim.tones", "tones", registry)
    assert (tmp_path / name).read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["tim", name])


def test_what_cannot_be_played_is_no_export(voice, registry, tmp_path, toys, monkeypatch):
    monkeypatch.setattr(toys, "export_toy", lambda voice, path: path.write_text("{}"))
    with pytest.raises(UserError, match=r"tim\.tones\.gain is missing"):
        export_voice(voice, tmp_path / "tim.tones", "tones", registry)
    assert [path.name for path in tmp_path.iterdir()] == ["tim"]


def test_light_engines_are_asked_first_and_only_for_what_they_recognise(voice, registry, tmp_path):
    export_voice(voice, tmp_path / "a.tones", "tones", registry)
    assert light_engine(tmp_path / "a.tones", registry).name == "tones"
    voice.rename(tmp_path / "tim.tones")
    assert light_engine(tmp_path / "tim.tones", registry) is None
    assert find(tmp_path / "tim.tones", registry)[1].name == "torch"


def test_an_engine_that_was_asked_for_must_recognise_the_voice(voice, registry, tmp_path):
    export_voice(voice, tmp_path / "a.tones", "tones", registry)
    with pytest.raises(UserError, match=r"'torch'.*\n.*'tones' can"):
        load(tmp_path / "a.tones", engine="torch", registry=registry)
    with pytest.raises(PluginError, match=r"no engine 'tone'.*\n.*'tones'"):
        load(tmp_path / "a.tones", engine="tone", registry=registry)


def test_the_commands_take_exported_voices(voice, registry, tmp_path, make_default, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_default(registry)
    runner = CliRunner()

    def ran(*arguments):
        return runner.invoke(allophone, arguments, catch_exceptions=False)

    done = ran("export", "tim", "--format", "tones", "--out", "a.tones")
    assert "Wrote a.tones, a.tones.gain in the format toy.tones." in done.output
    ran("export", "tim", "--format", "tones", "--streaming", "--out", "b")
    for place in ("a.tones", "b"):
        assert "Wrote" in ran("say", "Hello.", "--voice", place, "--out", f"{place}.wav").output
    (tmp_path / "list.txt").write_text("Hello.\nThere.\n")
    for _ in range(2):
        ran("synthesize", "--list", "list.txt", "--voice", "b", "--out", "many")
    rows = (tmp_path / "many" / "made.jsonl").read_text().splitlines()
    assert [json.loads(row)["text"] for row in rows] == ["Hello.", "There."]


def test_all_that_hangs_on_a_record_is_referred_to(registry):
    names = {name for name, _ in references(registry.find("models", "toy"))}
    assert {
        "config",
        "synthesizer",
        "importers.file.importer",
        "exporters.tones.exporter",
        "exporters.tones.streaming",
    } <= names
