"""The commands that speak: say, synthesize, convert, import."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from allophone.cli import allophone
from allophone.errors import UserError
from allophone.registry import default_registry
from allophone_testing.light import heavy_imports


@pytest.fixture
def install(toys, monkeypatch, tmp_path):
    """install(name=language, ...) makes the toy plugin, with these voices, all that is installed."""
    # The toys are registered by hand beside themselves.
    monkeypatch.delenv("ALLOPHONE_STRICT_PLUGINS", raising=False)

    def installed(**voices):
        shipped = []
        for name, language in voices.items():
            shipped.append((name, language, tmp_path / "shipped" / name))
            if not shipped[-1][2].exists():
                toys.write_voice(
                    shipped[-1][2], toys.stored_voice(name=name), registry=toys.toy_registry()
                )

        class Point:
            name, value, module, dist = "toys", "toys", "toys", None

            def load(self):
                return toys.toy_plugin(shipped)

        monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [Point()])
        default_registry.cache_clear()

    yield installed
    default_registry.cache_clear()


@pytest.fixture
def run(install, tmp_path, monkeypatch):
    """run(arguments...) in an empty folder; the errors that a user can mend are raised."""
    install(tim="en")
    monkeypatch.chdir(tmp_path)

    def ran(*arguments, input=None):
        result = CliRunner().invoke(allophone, [str(one) for one in arguments], input=input)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return ran


@pytest.fixture
def duo(toys, tmp_path):
    """The folder of a voice with two speakers."""
    stored = toys.stored_voice(name="duo", speakers=("anna", "boris"))
    toys.write_voice(tmp_path / "duo", stored, registry=toys.toy_registry())
    return tmp_path / "duo"


def samples(path):
    return soundfile.read(path, dtype="float32")[0]


def test_say_writes_what_the_voice_says(run, tmp_path):
    import allophone as library

    result = run("say", "Hello there.", "--out", "hello.wav", "--seed", 3, "--length-scale", 2)
    said = library.load("tim").say("Hello there.", seed=3, length_scale=2.0)
    np.testing.assert_allclose(samples("hello.wav"), said.samples, atol=2e-5)
    assert "Using the voice 'tim'" in result.stderr
    assert f"hello.wav: {said.seconds:.2f} s, 8000 Hz" in result.stderr
    assert result.stdout == ""


def test_the_text_comes_from_the_argument_a_file_or_standard_input(run, tmp_path):
    (tmp_path / "text.txt").write_text("Hello there.")
    run("say", "Hello there.", "--out", "a.wav")
    run("say", "--file", "text.txt", "--out", "b.wav")
    run("say", "--out", "c.wav", input="Hello there.")
    assert len({(tmp_path / name).read_bytes() for name in ("a.wav", "b.wav", "c.wav")}) == 1
    with pytest.raises(UserError, match="only one"):
        run("say", "Hello there.", "--file", "text.txt")
    with pytest.raises(UserError, match="no text"):
        run("say", input="")


def test_any_control_can_be_set_by_its_name(run):
    run("say", "Hello.", "--out", "a.wav", "--length-scale", 2)
    run("say", "Hello.", "--out", "b.wav", "--control", "length_scale=2.0")
    assert np.array_equal(samples("a.wav"), samples("b.wav"))
    with pytest.raises(UserError, match="'length_scale'"):
        run("say", "Hello.", "--control", "lenght_scale=2.0")
    with pytest.raises(UserError, match="noise_scale_duration"):
        run("say", "Hello.", "--noise-scale-duration", 1)


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_wav_goes_to_standard_output(run, stream):
    text = "One. Two three."
    written = run("say", text, "--out", "-", *stream).stdout_bytes
    run("say", text, "--out", "a.wav")
    pcm = np.frombuffer(written[44:], "<i2")
    assert np.array_equal(pcm, soundfile.read("a.wav", dtype="int16")[0])
    assert written[:4] == b"RIFF"
    (length,) = struct.unpack("<I", written[40:44])
    assert length == (0xFFFFFFFF if stream else 2 * len(pcm))
    if not stream:
        assert soundfile.info(io.BytesIO(written)).frames == len(pcm)


def test_streaming_to_a_file_is_refused(run):
    with pytest.raises(UserError, match="--out -"):
        run("say", "Hello.", "--stream")


def test_timings_are_written(run):
    run("say", "Ab c!", "--out", "a.wav", "--timings", "a.json")
    rows = json.loads(Path("a.json").read_text())
    assert [row["symbol"] for row in rows] == list("ab c!")
    assert rows[-1]["end"] == pytest.approx(len(samples("a.wav")) / 8000, abs=1e-4)


def test_without_a_name_the_only_fitting_voice_speaks(run, install):
    install(tim="en", hans="de")
    result = run("say", "Hallo.", "--language", "en", "--out", "a.wav")
    assert "Using the voice 'tim'" in result.stderr
    with pytest.raises(
        UserError, match=r"2 installed voices match.[^$]*hans: A toy. \(de, CC0-1.0\)"
    ):
        run("say", "Hallo.")
    install()
    with pytest.raises(UserError, match="no voice is installed"):
        run("say", "Hallo.")


def test_who_speaks_is_said_where_nobody_was_chosen(run, duo):
    result = run("say", "Hello.", "--voice", duo, "--out", "a.wav")
    assert "'anna', the first of 2" in result.stderr
    result = run("say", "Hello.", "--voice", duo, "--speaker", "boris", "--out", "b.wav")
    assert "first of" not in result.stderr
    assert not np.array_equal(samples("a.wav"), samples("b.wav"))


def test_synthesize_goes_on_where_it_was_stopped(run, tmp_path):
    (tmp_path / "list.txt").write_text("a|Hello.\nb|Good bye.\n")
    arguments = ("synthesize", "--list", "list.txt", "--out", "out", "--length-scale", 2)
    assert "Wrote 2 files, skipped 0" in run(*arguments).stdout
    assert "Wrote 0 files, skipped 2" in run(*arguments).stdout
    run("say", "Hello.", "--length-scale", 2, "--out", "alone.wav")
    np.testing.assert_allclose(samples("out/a.wav"), samples("alone.wav"), atol=2e-5)


def test_synthesize_makes_anew_what_another_vocoder_made(run, toys, tmp_path):
    registry = toys.toy_registry()
    voice = toys.stored_voice(model=toys.ToyMelConfig())
    toys.write_voice(tmp_path / "voice", voice, registry=registry)
    toys.write_vocoder(tmp_path / "coder", toys.stored_vocoder(), registry=registry)
    (tmp_path / "list.txt").write_text("a|Hello.\n")
    arguments = ("synthesize", "--list", "list.txt", "--out", "out", "--voice", "voice")
    assert "Wrote 1 files, skipped 0" in run(*arguments, "--vocoder", "coder").stdout
    assert set(samples("out/a.wav")) == {0.5}
    assert "Wrote 1 files, skipped 0" in run(*arguments).stdout
    assert len(set(samples("out/a.wav"))) > 1
    assert "Wrote 0 files, skipped 1" in run(*arguments).stdout


def test_synthesize_ends_with_status_1_when_a_text_fails(run, tmp_path):
    (tmp_path / "list.txt").write_text("a|Hello.\nodd|Жук.\n")
    result = run("synthesize", "--list", "list.txt", "--out", "out")
    assert result.exit_code == 1
    assert "Wrote 1 files" in result.stdout
    assert "odd: In 'Жук.'" in result.stderr
    assert "1 could not be synthesized" in result.stderr


def test_synthesize_reads_a_split_and_its_speakers(run, duo, tmp_path):
    rows = [
        {"id": name, "audio": "x.wav", "text": "Hello.", "speaker": name, "split": "test"}
        for name in ("anna", "boris")
    ]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run("synthesize", "--manifest", "m.jsonl", "--out", "duo-out", "--voice", duo)
    for name in ("anna", "boris"):
        run("say", "Hello.", "--voice", duo, "--speaker", name, "--out", f"{name}.wav")
        np.testing.assert_allclose(
            samples(f"duo-out/{name}.wav"), samples(f"{name}.wav"), atol=2e-5
        )
    result = run("synthesize", "--manifest", "m.jsonl", "--out", "tim-out")
    assert "'tim' has only one speaker" in result.stderr
    assert result.exit_code == 0
    with pytest.raises(UserError, match="either --manifest or --list"):
        run("synthesize", "--out", "x")


def test_convert_says_a_recording_as_somebody_else(run, duo):
    run("say", "Hello.", "--voice", duo, "--out", "in.wav")
    run("convert", "in.wav", "out.wav", "--voice", duo, "--from", "boris", "--to", "anna")
    np.testing.assert_allclose(samples("out.wav"), samples("in.wav"), atol=1e-4)


def test_import_writes_a_voice_that_speaks(run, tmp_path):
    (tmp_path / "joe.toy").touch()
    result = run("import", "joe.toy", "voices/joe")
    assert "from toy.file" in result.stderr
    run("say", "Hello.", "--voice", "voices/joe", "--out", "a.wav")
    assert len(samples("a.wav"))


@pytest.mark.parametrize("name", ["say", "synthesize", "convert", "import"])
def test_help_imports_nothing_heavy(name):
    code = f"from allophone.cli import allophone\nallophone(['{name}', '--help'])"
    assert heavy_imports(code) == {}


def test_voices_are_listed_with_what_each_can_do(run, install):
    install(tim="en", tom="de")
    listed = run("voices").output
    assert "tim" in listed
    assert "tom" in listed
    shown = run("voices", "tom").output
    assert "length_scale=1.0" in shown
    assert "noise_scale_duration" not in shown, "the toys do not have it"
    with pytest.raises(UserError, match="'tim' or 'tom'|'tom' or 'tim'"):
        run("voices", "tam")


def test_without_voices_that_is_said(run, install):
    install()
    assert "No voices are installed" in run("voices").output
