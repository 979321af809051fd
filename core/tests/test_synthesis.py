"""Voice folders, Griffin-Lim, lists of texts, batches to files, and imports."""

from __future__ import annotations

import json
import os
import tomllib

import numpy as np
import pytest
import soundfile
import torch

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_spectrogram
from allophone.errors import PluginError, UserError
from allophone.inference.config import GriffinLimConfig
from allophone.inference.engine import open_voice
from allophone.inference.folder import read_vocoder, read_voice
from allophone.inference.griffin_lim import GriffinLim
from allophone.inference.importing import import_checkpoint
from allophone.registry import build_registry
from allophone.synthesis.batch import adapt_requests, synthesize
from allophone.synthesis.ledger import digest
from allophone.synthesis.loading import load
from allophone.synthesis.requests import Request, read_requests, requests_of_split

# Voice folders.


@pytest.fixture
def registry(toys):
    return toys.toy_registry()


@pytest.fixture
def folder(toys, registry, tmp_path):
    path = tmp_path / "voices" / "tim"
    voice = toys.stored_voice(speakers=("anna", "boris"), controls={"length_scale": 1.5})
    toys.write_voice(path, voice, registry=registry)
    return path


def test_a_voice_folder_reads_back_equal(toys, registry, folder):
    stored = toys.stored_voice(speakers=("anna", "boris"), controls={"length_scale": 1.5})
    read = read_voice(folder, registry)
    assert read.vocabulary == stored.vocabulary
    assert read.description.model == stored.description.model
    assert read.description.audio == stored.description.audio
    assert read.description.text == stored.description.text
    assert read.description.controls == {"length_scale": 1.5}
    assert torch.equal(read.weights["gain"], stored.weights["gain"])


def test_a_voice_folder_says_where_its_model_comes_from(folder):
    about = tomllib.loads((folder / "voice.toml").read_text())["about"]
    assert about["distribution"] == "toys"
    assert about["format"] == 1


def test_the_card_and_the_licence_are_written(toys, registry, folder, tmp_path):
    card = (folder / "README.md").read_text()
    assert card.startswith("# tim\n\nA toy voice.\n")
    assert "- Speakers: 2\n" in card
    assert "CC0-1.0" in (folder / "LICENSE").read_text()
    own = tmp_path / "own"
    toys.write_voice(
        own, toys.stored_voice(), card="# Mine\n", licence_text="All mine.\n", registry=registry
    )
    assert (own / "README.md").read_text() == "# Mine\n"
    assert (own / "LICENSE").read_text() == "All mine.\n"


def test_a_folder_that_exists_is_not_touched(toys, registry, folder):
    before = (folder / "voice.toml").read_bytes()
    with pytest.raises(UserError, match="already exists"):
        toys.write_voice(folder, toys.stored_voice(), registry=registry)
    assert (folder / "voice.toml").read_bytes() == before


@pytest.mark.parametrize("name", ["model.safetensors", "vocabulary.json"])
def test_a_missing_file_is_named(registry, folder, name):
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"no {name}"):
        read_voice(folder, registry)


def edited(folder, old, new):
    path = folder / "voice.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_misspelt_key_is_named_with_what_was_meant(registry, folder):
    edited(folder, "hop_length", "hop_lenght")
    with pytest.raises(UserError, match="audio.hop_lenght.*'hop_length'"):
        read_voice(folder, registry)


def test_a_newer_format_is_refused(registry, folder):
    edited(folder, "format = 1", "format = 2")
    with pytest.raises(UserError, match="format 2; this version reads 1"):
        read_voice(folder, registry)


def test_a_file_that_describes_no_voice_is_refused(registry, folder):
    (folder / "voice.toml").write_text('[about]\nname = "x"\nformat = 1\n')
    with pytest.raises(UserError, match=r"\[about\] and \[model\]"):
        read_voice(folder, registry)


def test_a_missing_plugin_is_named_by_its_distribution(folder):
    with pytest.raises(PluginError, match="no model 'toy'[^$]*pip install toys"):
        read_voice(folder, build_registry())


def test_weights_that_do_not_fit_are_an_error(toys, registry):
    stored = toys.stored_voice(weights={"gian": torch.ones(1)})
    with pytest.raises(UserError, match="do not fit"):
        open_voice(stored, registry=registry)


def test_a_vocoder_folder_reads_back_equal(toys, registry, tmp_path):
    toys.write_vocoder(tmp_path / "coder", toys.stored_vocoder(), registry=registry)
    read = read_vocoder(tmp_path / "coder", registry)
    assert read.description.audio == toys.AUDIO
    assert read.description.vocoder == toys.ToyVocoderConfig()
    assert read.description.about.distribution == "toys"
    with pytest.raises(PluginError, match="pip install toys"):
        read_vocoder(tmp_path / "coder", build_registry())


# Griffin-Lim.

SPECS = {
    "vits": MelSpec(),
    "centred": MelSpec(center=True, padding="zeros", magnitude_epsilon=0.0),
    "power": MelSpec(power=2, log_base="10", mel_scale="htk", mel_norm="none"),
    "decibel": MelSpec(log_base="10", log_gain=0.2, log_offset=0.8, normalize_window=True),
    "short window": MelSpec(win_length=800, hop_length=200),
    "linear": MelSpec(log_base="none"),
}


def chirp(spec, seconds=1.0):
    """A tone with two overtones that rises from 200 Hz to 600 Hz, in some noise, [1, N]."""
    time = torch.arange(int(seconds * spec.sample_rate)) / spec.sample_rate
    phase = 2 * torch.pi * (200 * time + 200 * time.square() / seconds)
    noise = torch.randn(len(time), generator=torch.Generator().manual_seed(0))
    return (0.01 * noise + sum(torch.sin(k * phase) / (4 * k) for k in (1, 2, 3)))[None]


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_griffin_lim_gives_back_the_mel_that_it_was_given(spec):
    mel = mel_spectrogram(chirp(spec), spec)
    frames = torch.tensor([mel.size(2)])
    vocoder = GriffinLim(GriffinLimConfig(), spec, torch.device("cpu"))
    waveform = vocoder.vocode(mel, frames)
    assert waveform.shape == (1, mel.size(2) * spec.hop_length)
    again = mel_spectrogram(waveform, spec)[:, :, : mel.size(2)]
    difference = (again - mel[:, :, : again.size(2)])[:, :, 4:-4]
    assert difference.abs().mean() < 0.15 * mel.std()


def test_griffin_lim_repeats_and_does_not_look_at_neighbours():
    spec = MelSpec()
    vocoder = GriffinLim(GriffinLimConfig(iterations=5), spec, torch.device("cpu"))
    long, short = mel_spectrogram(chirp(spec), spec), mel_spectrogram(chirp(spec, 0.4), spec)
    padded = torch.nn.functional.pad(short, (0, long.size(2) - short.size(2)))
    lengths = torch.tensor([long.size(2), short.size(2)])
    both = vocoder.vocode(torch.cat([long, padded]), lengths)
    alone = vocoder.vocode(short, lengths[1:])
    samples = short.size(2) * spec.hop_length
    assert torch.equal(both[1, :samples], alone[0])
    assert not both[1, samples:].any()


# Lists of texts.


def test_lists_of_each_form_are_read(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("Hello.\n\nGood bye.\n")
    assert read_requests(path) == (
        Request(id="00001", text="Hello."),
        Request(id="00003", text="Good bye."),
    )
    path.write_text("a | Hello. \nb|Good bye.\n")
    assert [(one.id, one.text) for one in read_requests(path)] == [
        ("a", "Hello."),
        ("b", "Good bye."),
    ]
    path.write_text("a|Hello.|anna\n")
    assert read_requests(path) == (Request(id="a", text="Hello.", speaker="anna"),)
    jsonl = tmp_path / "list.jsonl"
    jsonl.write_text('{"text": "a|b"}\n{"id": "x", "text": "c", "language": "de"}\n')
    assert read_requests(jsonl) == (
        Request(id="00001", text="a|b"),
        Request(id="x", text="c", language="de"),
    )


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("list.txt", "", "is empty"),
        ("list.txt", "a|b\nc\n", "list.txt:2 has 1 columns; the first line has 2"),
        ("list.txt", "a|b|c|d\n", "list.txt:1 has 4 columns"),
        ("list.txt", "a|b\na|c\n", "id 'a' twice"),
        ("list.txt", "a/b|c\n", "list.txt:1 is invalid"),
        ("list.jsonl", '{"text": "a"}\n{"text"\n', "list.jsonl:2 is not valid JSON"),
        ("list.jsonl", '{"txt": "a"}\n', "list.jsonl:1"),
        ("list.jsonl", '{"text": "a", "speeker": "b"}\n', "'speeker'.\nDid you mean 'speaker'"),
        ("list.jsonl", '{"text": 3}\n', "list.jsonl:1 is invalid"),
        ("list.jsonl", '{"text": "a", "id": "\\ud800"}\n', "invalid: id has an unpaired surrogate"),
        ("list.jsonl", '{"text": "a", "id": "\\u0000"}\n', "invalid: id has a NUL character"),
        ("list.txt", f"{'i' * 300}|b\n", "invalid: id has 300 bytes; expected at most 200"),
        ("list.jsonl", "[" * 100_000, "list.jsonl:1 is nested too deep"),
    ],
)
def test_a_mistake_in_a_list_is_named_with_its_line(tmp_path, name, content, complaint):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=complaint):
        read_requests(tmp_path / name)


def test_a_split_of_a_manifest_is_a_list(tmp_path):
    rows = [
        {"id": "a", "audio": "a.wav", "text": "Hello.", "speaker": "anna", "split": "test"},
        {"id": "b", "audio": "b.wav", "text": "Good bye.", "split": "train"},
    ]
    path = tmp_path / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert requests_of_split(path, "test") == (Request(id="a", text="Hello.", speaker="anna"),)
    with pytest.raises(UserError, match="'valid'"):
        requests_of_split(path, "valid")
    with pytest.raises(UserError, match="'tset'.*\n.*'test'"):
        requests_of_split(path, "tset")


# Batches to files.

REQUESTS = tuple(
    Request(id=name, text=text)
    for name, text in (("a", "Hello there."), ("b", "Go."), ("c", "One. Two. Three words here."))
)
PROVENANCE = {"voice": "tim", "weights": "1234"}


@pytest.fixture
def voice(toys, registry):
    return open_voice(toys.stored_voice(), registry=registry)


def made(out):
    return {row["id"]: row for row in map(json.loads, (out / "made.jsonl").open())}


def test_many_texts_are_said_as_each_alone(voice, tmp_path):
    report = synthesize(
        voice,
        REQUESTS,
        tmp_path,
        provenance=PROVENANCE,
        seed=4,
        batch_size=2,
        controls={"length_scale": 2.0},
    )
    assert (report.made, report.skipped, report.failures) == (3, 0, ())
    rows = made(tmp_path)
    assert rows.keys() == {"a", "b", "c"}
    for request in REQUESTS:
        row = rows[request.id]
        samples, sample_rate = soundfile.read(tmp_path / row["file"], dtype="float32")
        alone = voice.say(request.text, seed=4, length_scale=2.0)
        np.testing.assert_allclose(samples, alone.samples, atol=2e-5)
        assert sample_rate == row["sample_rate"] == 8000
        assert row["seconds"] == pytest.approx(alone.seconds, abs=1e-4)
        assert row["text"] == request.text
        assert row["seed"] == 4
        assert row["controls"] == {"length_scale": 2.0, "noise_scale": 0.5}
        assert row["weights"] == "1234"


def test_what_was_made_of_the_same_inputs_is_skipped(voice, tmp_path):
    def run(requests=REQUESTS, **changes):
        report = synthesize(voice, requests, tmp_path, **{"provenance": PROVENANCE, **changes})
        return report.made, report.skipped

    assert run() == (3, 0)
    written = (tmp_path / "a.wav").stat().st_mtime_ns
    assert run() == (0, 3)
    assert (tmp_path / "a.wav").stat().st_mtime_ns == written
    (tmp_path / "b.wav").unlink()
    assert run() == (1, 2)
    changed = (Request(id="a", text="Something else."), *REQUESTS[1:])
    assert run(changed) == (1, 2)
    assert run(changed, seed=1) == (3, 0)
    assert run(changed, seed=1, provenance={**PROVENANCE, "weights": "5678"}) == (3, 0)
    assert run((REQUESTS[0],), seed=1) == (1, 0)
    assert made(tmp_path).keys() == {"a", "b", "c"}


def test_a_log_that_a_killed_process_left_is_taken_up(voice, tmp_path):
    synthesize(voice, REQUESTS, tmp_path, provenance=PROVENANCE)
    lines = (tmp_path / "made.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "made.jsonl").write_text("".join(lines[:2]) + lines[2][:20])
    report = synthesize(voice, REQUESTS, tmp_path, provenance=PROVENANCE)
    assert (report.made, report.skipped) == (1, 2)
    assert made(tmp_path).keys() == {"a", "b", "c"}


def test_what_fails_is_named_and_stops_nothing(voice, tmp_path, monkeypatch):
    requests = (*REQUESTS, Request(id="odd", text="Ж!"), Request(id="mute", text="..."))
    requests += (Request(id="half", text="Go \ud800."), Request(id="nul", text="G\0o."))
    spoil = voice.engine.synthesizer.synthesize

    def synthesize_spoiled(text, controls):
        if (text.lengths == len("Go.") * 2 + 1).any():
            raise RuntimeError("out of memory")
        return spoil(text, controls)

    monkeypatch.setattr(voice.engine.synthesizer, "synthesize", synthesize_spoiled)
    report = synthesize(voice, requests, tmp_path, provenance=PROVENANCE)
    assert report.made == 2
    failed = {
        row["id"]: row["reason"] for row in map(json.loads, (tmp_path / "failed.jsonl").open())
    }
    assert failed.keys() == {"odd", "mute", "b", "half", "nul"}
    assert "unpaired surrogate" in failed["half"]
    assert "NUL" in failed["nul"]
    assert "'ж'" in failed["odd"]
    assert failed["b"] == "RuntimeError: out of memory"
    assert {failure.id for failure in report.failures} == failed.keys()
    monkeypatch.undo()
    report = synthesize(voice, REQUESTS, tmp_path, provenance=PROVENANCE)
    assert (report.made, report.skipped) == (1, 2)
    assert not (tmp_path / "failed.jsonl").exists()


def test_controls_are_checked_before_anything_is_written(voice, tmp_path):
    with pytest.raises(UserError, match="lenght_scale"):
        synthesize(
            voice,
            REQUESTS,
            tmp_path / "out",
            provenance=PROVENANCE,
            controls={"lenght_scale": 2.0},
        )
    assert not (tmp_path / "out").exists()


def test_a_voice_with_one_speaker_is_asked_for_no_other(toys, registry, voice):
    asked = (Request(id="a", text="Hello.", speaker="anna", language="en"),)
    assert tuple(adapt_requests(asked, voice)) == (Request(id="a", text="Hello."),)
    stored = toys.stored_voice(speakers=("anna", "boris"), languages=("de", "en"))
    many = open_voice(stored, registry=registry)
    assert tuple(adapt_requests(asked, many)) == asked


def test_a_digest_follows_the_content(tmp_path):
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")


# Imports.


def test_an_importer_is_found_by_what_it_recognises(registry, tmp_path):
    (tmp_path / "joe.toy").touch()
    done = import_checkpoint(tmp_path / "joe.toy", tmp_path / "joe", None, registry)
    assert done == "toy.file"
    assert load(tmp_path / "joe", registry=registry).name == "joe"
    assert sorted(os.listdir(tmp_path)) == ["joe", "joe.toy"]


def test_a_vocoder_is_imported_as_one(registry, tmp_path):
    (tmp_path / "x.coder").touch()
    assert (
        import_checkpoint(tmp_path / "x.coder", tmp_path / "x", None, registry) == "toycoder.file"
    )
    assert read_vocoder(tmp_path / "x", registry).description.about.name == "coder"


def test_the_format_can_be_said(registry, tmp_path):
    (tmp_path / "both.toy").touch()
    with pytest.raises(UserError, match=r"matches 2 formats:\n  toy.file.*\n  toy.broken"):
        import_checkpoint(tmp_path / "both.toy", tmp_path / "joe", None, registry)
    import_checkpoint(tmp_path / "both.toy", tmp_path / "joe", "toy.file", registry)
    assert (tmp_path / "joe" / "voice.toml").is_file()


def test_what_nobody_recognises_lists_the_importers(registry, tmp_path):
    (tmp_path / "x.unknown").touch()
    with pytest.raises(UserError, match=r"No importer recognises[^$]*toy.file: Toys"):
        import_checkpoint(tmp_path / "x.unknown", tmp_path / "joe", None, registry)
    with pytest.raises(UserError, match=r"'toy.fiel'.\n.*'toy.file'"):
        import_checkpoint(tmp_path / "x.unknown", tmp_path / "joe", "toy.fiel", registry)


def test_an_importer_that_cannot_tell_does_not_stop_the_others(
    registry, tmp_path, toys, monkeypatch, caplog
):
    def stumble(source):
        raise ValueError("no JSON")

    monkeypatch.setattr(toys, "ends_in_broken", stumble)
    (tmp_path / "joe.toy").touch()
    assert import_checkpoint(tmp_path / "joe.toy", tmp_path / "joe", None, registry) == "toy.file"
    assert "toy.broken failed to check" in caplog.text
    assert "no JSON" in caplog.text


def test_an_import_that_does_not_load_leaves_nothing(registry, tmp_path):
    (tmp_path / "x.broken").touch()
    with pytest.raises(UserError, match="do not fit"):
        import_checkpoint(tmp_path / "x.broken", tmp_path / "joe", None, registry)
    assert os.listdir(tmp_path) == ["x.broken"]


def test_an_import_overwrites_nothing(registry, folder, tmp_path):
    (tmp_path / "x.toy").touch()
    with pytest.raises(UserError, match="already exists"):
        import_checkpoint(tmp_path / "x.toy", folder, None, registry)
