"""Vocoding: recordings and mels to WAV files, resumably, by the Python functions and the command."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import soundfile
import torch
from attrs import asdict, evolve
from click.testing import CliRunner

from allophone.audio.files import read_audio
from allophone.audio.mel_files import write_description, write_mel
from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_spectrogram
from allophone.cli import allophone
from allophone.config import write_toml
from allophone.data.manifest import Utterance, write_manifest
from allophone.errors import UserError
from allophone.inference.mel_sources import (
    MelFile,
    Recording,
    mels_in,
    recordings_in,
    recordings_of,
)
from allophone.inference.protocol import Mels
from allophone.inference.vocoders import (
    apply_vocoder,
    fingerprint,
    load_vocoder,
    stream_vocoder,
)
from allophone.inference.vocoding import audio_of, open_vocoder, vocode_all
from allophone.synthesis.ledger import Failure, in_batches
from allophone_testing.corpus import synthetic_speech
from allophone_testing.light import heavy_imports

CPU = torch.device("cpu")
SPEC = MelSpec(sample_rate=8000, n_fft=256, hop_length=64, win_length=256, n_mels=40)
TEXTS = {"a": "boats", "b": "silver fish", "c": "sand"}


@pytest.fixture
def registry(toys):
    return toys.toy_registry()


@pytest.fixture
def folder(tmp_path):
    """Three recordings of 8 kHz, and a text beside them."""
    path = tmp_path / "recordings"
    path.mkdir()
    for seed, (name, text) in enumerate(TEXTS.items()):
        samples = synthetic_speech(text, pitch=110.0, sample_rate=8000, seed=seed)
        soundfile.write(path / f"{name}.wav", samples, 8000)
    (path / "README.txt").write_text("no recording")
    return path


def mel_of(path, spec=SPEC):
    samples = read_audio(path, sample_rate=spec.sample_rate).samples
    return mel_spectrogram(torch.from_numpy(samples)[None], spec)[0]


@pytest.fixture
def mels(folder, tmp_path):
    """Their mels, one of them with its frames first."""
    path = tmp_path / "mels"
    for name in TEXTS:
        mel = mel_of(folder / f"{name}.wav").numpy()
        write_mel(path / f"{name}.npy", mel.T if name == "b" else mel)
    write_description(path, SPEC, {})
    return path


def griffin_lim(registry, spec=SPEC):
    return load_vocoder("griffin-lim", spec, device=CPU, registry=registry)


def heard(path):
    return soundfile.read(path, dtype="float32")[0]


def run(vocoder, sources, out, **how):
    how = {"provenance": {"vocoder": "x"}, "device": CPU, **how}
    return vocode_all(vocoder, sources, out, **how)


def rows(path):
    return {row["id"]: row for row in map(json.loads, path.open())}


# From sources to files.


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_recordings_are_heard_as_each_alone(registry, folder, tmp_path, batch_size):
    vocoder = griffin_lim(registry)
    report = run(vocoder, recordings_in(folder), tmp_path / "out", batch_size=batch_size)
    assert (report.made, report.skipped, report.failures) == (3, 0, ())
    for name, row in rows(tmp_path / "out" / "made.jsonl").items():
        mel = mel_of(folder / f"{name}.wav")[None]
        alone = vocoder.vocode(mel, torch.tensor([mel.size(2)]))[0].numpy()
        samples = heard(tmp_path / "out" / row["file"])
        np.testing.assert_allclose(samples, alone.clip(-1, 1), atol=2e-5)
        assert row["seconds"] == pytest.approx(len(alone) / 8000, abs=1e-4)
        assert (row["sample_rate"], row["source"]) == (8000, str(folder / f"{name}.wav"))


def test_analysis_and_synthesis_say_what_was_said(registry, folder, tmp_path):
    run(griffin_lim(registry), recordings_in(folder), tmp_path / "out")
    for name in TEXTS:
        before, after = mel_of(folder / f"{name}.wav"), mel_of(tmp_path / "out" / f"{name}.wav")
        frames = after.size(1)
        difference = (after - before[:, :frames])[:, 3:-3]
        assert difference.abs().mean() < 0.25 * before.std()


def test_mels_of_a_folder_are_heard_as_the_recordings_they_are_of(registry, folder, mels, tmp_path):
    vocoder = griffin_lim(registry)
    run(vocoder, recordings_in(folder), tmp_path / "from recordings")
    run(vocoder, mels_in(mels), tmp_path / "from mels")
    for name in TEXTS:
        pair = (heard(tmp_path / f"from {what}" / f"{name}.wav") for what in ("recordings", "mels"))
        assert np.array_equal(*pair)


def test_recordings_are_resampled_to_the_vocoders_rate_which_is_said(registry, tmp_path):
    path = tmp_path / "wide.wav"
    soundfile.write(path, synthetic_speech("sea", pitch=110.0, sample_rate=16000, seed=0), 16000)
    report = run(griffin_lim(registry), (Recording(id="wide", path=path),), tmp_path / "out")
    assert report.notes == {"resampled from 16000 to 8000 Hz": 1}
    assert soundfile.info(tmp_path / "out" / "wide.wav").samplerate == 8000


def test_a_part_of_a_recording_is_heard(registry, folder, tmp_path):
    whole = soundfile.info(folder / "b.wav").duration
    part = Utterance(id="part", audio=str(folder / "b.wav"), text="", start=0.1, end=0.4)
    assert whole > 0.5
    run(griffin_lim(registry), recordings_of([part]), tmp_path / "out")
    assert len(heard(tmp_path / "out" / "part.wav")) == SPEC.frames(2400) * 64


def test_what_was_made_of_the_same_inputs_is_skipped(registry, folder, tmp_path):
    out = tmp_path / "out"

    def again(spec=SPEC, **how):
        report = run(griffin_lim(registry, spec), recordings_in(folder), out, **how)
        return report.made, report.skipped

    assert again() == (3, 0)
    assert again() == (0, 3)
    (out / "b.wav").unlink()
    assert again() == (1, 2)
    soundfile.write(folder / "c.wav", np.ones(4000) * 0.1, 8000)
    assert again() == (1, 2)
    assert again(provenance={"vocoder": "y"}) == (3, 0)
    assert again(evolve(SPEC, f_max=3000.0), provenance={"vocoder": "y"}) == (3, 0)
    lines = (out / "made.jsonl").read_text().splitlines(keepends=True)
    (out / "made.jsonl").write_text("".join(lines[:2]) + lines[2][:20])
    assert again(evolve(SPEC, f_max=3000.0), provenance={"vocoder": "y"}) == (1, 2)


class Spoilt:
    """Griffin-Lim that fails on mels of so many frames."""

    def __init__(self, vocoder, frames, fault):
        self.audio, self.vocoder, self.frames, self.fault = vocoder.audio, vocoder, frames, fault

    def vocode(self, mel, lengths):
        waveform = self.vocoder.vocode(mel, lengths)
        if self.frames not in lengths.tolist():
            return waveform
        return self.fault(waveform)


def out_of_memory(waveform):
    raise RuntimeError("out of memory")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(out_of_memory, "RuntimeError: out of memory"), (lambda wave: wave / 0, "NaN or infinity")],
)
def test_what_fails_is_named_and_stops_nothing(registry, mels, tmp_path, fault, reason):
    write_mel(mels / "nan.npy", np.full((40, 9), np.nan, np.float32))
    write_mel(mels / "wide.npy", np.zeros((80, 9), np.float32))
    write_mel(mels / "odd.npy", np.zeros((40, 5), np.float32))
    spoilt = Spoilt(griffin_lim(registry), 5, fault)
    out = tmp_path / "out"
    report = run(spoilt, mels_in(mels), out, batch_size=1 if "infinity" in reason else 8)
    failed = {failure.id: failure.reason for failure in report.failures}
    assert (report.made, failed.keys()) == (3, {"nan", "wide", "odd"})
    assert "NaN" in failed["nan"]
    assert "80 bands, expected 40" in failed["wide"]
    assert reason in failed["odd"]
    assert {id: row["reason"] for id, row in rows(out / "failed.jsonl").items()} == failed
    for name in ("nan", "wide", "odd"):
        (mels / f"{name}.npy").unlink()
    assert run(griffin_lim(registry), mels_in(mels), out).skipped == 3
    assert not (out / "failed.jsonl").exists()


def test_no_source_is_overwritten(registry, folder):
    before = (folder / "a.wav").read_bytes()
    with pytest.raises(UserError, match="would overwrite the source .*a.wav"):
        run(griffin_lim(registry), recordings_in(folder), folder)
    assert (folder / "a.wav").read_bytes() == before


def test_a_batch_that_fails_is_made_one_by_one():
    calls = []

    def double(numbers):
        calls.append(list(numbers))
        if 3 in numbers:
            raise ValueError("three")
        return [2 * number for number in numbers]

    made = list(in_batches([1, 2, 3, 4, 5], 2, double))
    assert calls == [[1, 2], [3, 4], [3], [4], [5]]
    assert [(item, result) for item, result in made if item != 3] == [
        (1, 2),
        (2, 4),
        (4, 8),
        (5, 10),
    ]
    assert str(dict(made)[3]) == "three"


# Sources.


def test_sources_are_named_by_their_files(folder, mels):
    assert [one.id for one in recordings_in(folder)] == list(TEXTS)
    assert [one.id for one in mels_in(mels)] == list(TEXTS)
    with pytest.raises(UserError, match="no recordings in"):
        recordings_in(mels)
    with pytest.raises(UserError, match="no mels in"):
        mels_in(folder)
    (folder / "a.flac").touch()
    with pytest.raises(UserError, match=r"a.flac and .*a.wav would both be written to a.wav"):
        recordings_in(folder)


def test_a_missing_file_is_a_failure_like_another(registry, tmp_path):
    sources = (
        Recording(id="x", path=tmp_path / "x.wav"),
        MelFile(id="y", path=tmp_path / "y.npy"),
    )
    report = run(griffin_lim(registry), sources, tmp_path / "out")
    assert [type(one) for one in report.failures] == [Failure, Failure]
    assert "no recording" in report.failures[0].reason
    assert "cannot be read" in report.failures[1].reason


# Which vocoder, for which mels.


def test_griffin_lim_takes_the_mels_that_the_folder_describes(registry, mels, caplog):
    with caplog.at_level(logging.WARNING):
        vocoder = open_vocoder("griffin-lim", device=CPU, registry=registry, features=mels)
    assert vocoder.audio == SPEC
    assert not caplog.records


def test_what_nobody_describes_is_taken_for_the_default_which_is_said(registry, mels, caplog):
    (mels / "mels.toml").unlink()
    with caplog.at_level(logging.WARNING):
        vocoder = open_vocoder("griffin-lim", device=CPU, registry=registry, features=mels)
    assert vocoder.audio == MelSpec()
    assert "22050 Hz, 80 mel bands" in caplog.text
    assert "--like" in caplog.text


def test_the_mels_can_be_said_to_be_those_of_something_else(toys, registry, mels, tmp_path):
    write_toml(tmp_path / "mine.toml", {"audio": {"sample_rate": 16000}})
    toys.write_voice(tmp_path / "voice", toys.stored_voice(), registry=registry)
    toys.write_vocoder(tmp_path / "coder", toys.stored_vocoder(), registry=registry)
    (tmp_path / "run").mkdir()
    write_toml(tmp_path / "run" / "config.toml", {"audio": {"hop_length": 200}})
    assert audio_of(str(tmp_path / "mine.toml"), registry) == MelSpec(sample_rate=16000)
    assert audio_of(str(tmp_path / "voice"), registry) == toys.AUDIO
    assert audio_of(str(tmp_path / "coder"), registry) == toys.AUDIO
    assert audio_of(str(tmp_path / "run"), registry) == MelSpec(hop_length=200)
    shipped = toys.toy_registry(voices=[("tim", "en", tmp_path / "voice")])
    assert audio_of("tim", shipped) == toys.AUDIO
    with pytest.raises(UserError, match="'nowhere' has no MelSpec"):
        audio_of("nowhere", registry)
    like = str(tmp_path / "mine.toml")
    opened = open_vocoder("griffin-lim", device=CPU, registry=registry, like=like)
    assert opened.audio == MelSpec(sample_rate=16000)
    with pytest.raises(UserError, match=r"mine.toml:\n  sample_rate: 8000 against 16000"):
        open_vocoder("griffin-lim", device=CPU, registry=registry, features=mels, like=like)


def test_a_trained_vocoder_refuses_other_mels_field_by_field(
    toys, registry, mels, tmp_path, caplog
):
    place = str(tmp_path / "coder")
    toys.write_vocoder(tmp_path / "coder", toys.stored_vocoder(audio=SPEC), registry=registry)
    assert open_vocoder(place, device=CPU, registry=registry).audio == SPEC
    assert open_vocoder(place, device=CPU, registry=registry, features=mels).audio == SPEC
    assert not caplog.records
    with pytest.raises(UserError, match="trained vocoder .*coder, which has its own MelSpec"):
        open_vocoder(place, device=CPU, registry=registry, like=place)
    write_description(mels, evolve(SPEC, f_max=3000.0, log_base="10"), {})
    with pytest.raises(
        UserError, match=r"coder:\n  f_max: 3000.0 .*None\n  log_base: 10 against e"
    ):
        open_vocoder(place, device=CPU, registry=registry, features=mels)
    (mels / "mels.toml").unlink()
    open_vocoder(place, device=CPU, registry=registry, features=mels)
    assert "has no mels.toml; assuming that its mels match the vocoder" in caplog.text


def test_a_vocoders_fingerprint_follows_its_weights(toys, registry, tmp_path):
    for name, value in (("one", 0.5), ("same", 0.5), ("other", 0.25)):
        stored = evolve(toys.stored_vocoder(), weights={"value": torch.tensor([value])})
        toys.write_vocoder(tmp_path / name, stored, registry=registry)
    prints = [fingerprint(tmp_path / name, registry) for name in ("one", "same", "other")]
    assert prints[0] == prints[1] != prints[2]
    assert fingerprint("griffin-lim", registry) == "griffin-lim"


# Mels that are none.


@pytest.mark.parametrize(
    "say", [apply_vocoder, lambda *args: list(stream_vocoder(*args))], ids=["at once", "stream"]
)
@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda mel: mel.transpose(1, 2), r"transposed: expected \[batch, bands, frames\]"),
        (lambda mel: mel[:, :30], "30 bands, expected 40"),
        (lambda mel: mel.masked_fill(mel == mel.max(), torch.nan), "NaN"),
        (lambda mel: mel[:, :, :0], "is empty"),
        (lambda mel: mel[0, 0], "has the shape"),
    ],
)
def test_what_is_no_mel_is_refused_in_python_too(registry, folder, say, spoil, complaint):
    mel = spoil(mel_of(folder / "a.wav")[None])
    with pytest.raises(UserError, match=complaint):
        say(griffin_lim(registry), Mels(mel=mel, lengths=torch.tensor([mel.shape[-1]])))


# The command.


@pytest.fixture
def command(tmp_path, monkeypatch):
    """command(arguments...) runs `allophone vocode --vocoder griffin-lim` in an empty folder."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    plain = {name: value for name, value in asdict(SPEC).items() if value is not None}
    write_toml(tmp_path / "empty" / "like.toml", {"audio": plain})

    def ran(*arguments):
        fixed = ("vocode", "--vocoder", "griffin-lim", "--out", "out")
        result = CliRunner().invoke(allophone, [*fixed, *map(str, arguments)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return ran


def test_the_three_ways_give_the_same(command, folder, mels, tmp_path):
    utterances = [
        Utterance(id=name, audio=str(folder / f"{name}.wav"), text=text, split=split)
        for (name, text), split in zip(TEXTS.items(), ("test", "test", "train"), strict=True)
    ]
    write_manifest(tmp_path / "manifest.jsonl", utterances)
    command("--audio", folder, "--like", "like.toml", "--out", "audio")
    command("--features", mels, "--out", "features")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "mels").symlink_to(mels)
    (tmp_path / "corpus" / "pitches").mkdir()
    command("--features", tmp_path / "corpus", "--out", "mels of all features")
    result = command("--manifest", tmp_path / "manifest.jsonl", "--like", "like.toml")
    assert "Wrote 2 files, skipped 0" in result.stdout
    assert (
        "Wrote 0 files, skipped 2"
        in command("--manifest", tmp_path / "manifest.jsonl", "--like", "like.toml").stdout
    )
    for name in ("a", "b"):
        one = heard(f"audio/{name}.wav")
        for out in ("features", "mels of all features", "out"):
            assert np.array_equal(one, heard(f"{out}/{name}.wav"))
    more = command(
        "--manifest", tmp_path / "manifest.jsonl", "--split", "train", "--like", "like.toml"
    )
    assert "Wrote 1 files" in more.stdout


def test_what_was_done_to_recordings_is_said(command, folder):
    result = command("--audio", folder)
    assert "3 recordings: resampled from 8000 to 22050 Hz" in result.stdout


def test_the_command_ends_with_status_1_when_something_fails(command, mels):
    (mels / "broken.npy").write_text("no mel")
    result = command("--features", mels)
    assert result.exit_code == 1
    assert "Wrote 3 files, skipped 0" in result.stdout
    assert "broken: The mel" in result.stderr
    assert "1 could not be vocoded; see out/failed.jsonl" in result.stderr


def test_the_command_needs_one_source(command, folder, mels):
    with pytest.raises(UserError, match="one of --manifest, --features and --audio"):
        command()
    with pytest.raises(UserError, match="one of --manifest, --features and --audio"):
        command("--audio", folder, "--features", mels)


def test_help_imports_nothing_heavy():
    code = "from allophone.cli import allophone\nallophone(['vocode', '--help'])"
    assert heavy_imports(code) == {}
