"""The mels that a run's voice predicts of its own recordings: `allophone synthesize --mels`."""

from __future__ import annotations

import json
import types

import numpy as np
import pytest
import torch
from attrs import evolve, field, frozen
from click.testing import CliRunner

from allophone.audio.mel_files import read_description, read_mel, write_description
from allophone.audio.spectrogram import frame_lengths, mel_spectrogram
from allophone.cli import allophone
from allophone.config import resolve, write_toml
from allophone.data.vocabulary import write_vocabulary
from allophone.datasets.feature_index import prepared_utterances
from allophone.datasets.loading import open_corpus
from allophone.entries import ModelEntry, TrainerEntry
from allophone.errors import UserError
from allophone.files.run_folder import checkpoint_path
from allophone.hookspecs import hookimpl
from allophone.inference.folder import write_voice
from allophone.inference.locate import find_voice
from allophone.inference.protocol import Mels
from allophone.inference.reconstruction import reconstruct
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.registry import build_registry
from allophone.weights.files import write_weights
from allophone_testing.corpus import write_corpus

AUDIO = {"sample_rate": 8000, "n_fft": 256, "hop_length": 64, "win_length": 256, "n_mels": 20}
CPU = torch.device("cpu")


@frozen(kw_only=True)
class EchoConfig:
    """A model that says again what it is given."""


@frozen(kw_only=True)
class EchoTrainerConfig:
    """Its trainer, which trains nothing."""


@frozen(kw_only=True)
class EchoControls:
    loudness: float = field(default=0.0)


class Echo:
    """The mel of the recording, raised by the weight `gain` and by the number of symbols."""

    controls = EchoControls
    features = ("waveform", "phonemes")

    def __init__(self, spec, weights, device):
        self.audio, self.gain = spec.audio, weights["gain"].to(device)

    def synthesize(self, text, controls):
        raise NotImplementedError

    def reconstruct(self, batch):
        waveform = batch["waveform"]
        mel = mel_spectrogram(waveform.values, self.audio, lengths=waveform.lengths)
        frames = frame_lengths(waveform.lengths, self.audio)
        symbols = batch["phonemes"].lengths[:, None, None]
        mask = torch.arange(mel.size(2)) < frames[:, None]
        return Mels(mel=(mel + self.gain + symbols) * mask[:, None], lengths=frames)


@pytest.fixture
def registry(toys):
    module = types.ModuleType("echo_plugin")
    module.CONTRACT = 1
    name = {"name": "echo", "summary": "Says it again."}

    @hookimpl
    def allophone_models():
        yield ModelEntry(**name, config=f"{__name__}:EchoConfig", synthesizer=f"{__name__}:Echo")

    @hookimpl
    def allophone_trainers():
        yield TrainerEntry(
            **name,
            config=f"{__name__}:EchoTrainerConfig",
            objective=f"{__name__}:Echo",
            trains="echo",
            inference_module="acoustic",
        )

    module.allophone_models = allophone_models
    module.allophone_trainers = allophone_trainers
    return build_registry({"echoes": module, "toys": toys.toy_plugin()})


@pytest.fixture
def run(registry, tmp_path):
    """The run of a voice on twelve recordings, four of them validation, two for testing."""
    write_corpus(tmp_path / "recordings", utterances=12, sample_rate=8000)
    plain = {
        "data": {
            "directory": str(tmp_path / "data"),
            "corpora": [{"type": "table", "root": str(tmp_path / "recordings")}],
            "splits": {"valid": 4, "test": 2, "golden_test": 0},
            "limits": {"min_seconds": 0.1},
            "batching": {"max_seconds": 8.0},
        },
        "text": {"phonemizer": {"type": "graphemes"}},
        "audio": AUDIO,
        "features": {"waveform": {}, "phonemes": {}},
        "model": {"type": "echo"},
        "trainer": {"type": "echo"},
    }
    write_toml(tmp_path / "experiment.toml", plain)
    resolved = resolve(tmp_path / "experiment.toml", registry=registry)
    prepare(resolved.experiment, registry)
    extract(resolved.experiment, registry)
    vocabulary = open_corpus(resolved.experiment, registry).build_vocabulary()
    run = tmp_path / "run"
    save_checkpoint(run, resolved.plain, vocabulary, step=100, gain=0.5)
    return run


def save_checkpoint(run, plain, vocabulary, *, step, gain):
    checkpoint = checkpoint_path(run, step)
    checkpoint.mkdir(parents=True)
    for folder in (run, checkpoint):
        write_toml(folder / "config.toml", plain)
        write_vocabulary(folder / "vocabulary.json", vocabulary)
    model, trainer = (
        {"type": plain[table]["type"], "distribution": "x", "version": "1"}
        for table in ("model", "trainer")
    )
    origins = json.dumps({"model": model, "trainer": trainer})
    (checkpoint / "provenance.json").write_text(origins)
    write_weights(checkpoint / "model.safetensors", {"acoustic.gain": torch.tensor([gain])})
    return checkpoint


def experiment(tmp_path, registry):
    return resolve(tmp_path / "experiment.toml", registry=registry).experiment


def of_splits(tmp_path, registry, *splits):
    utterances = prepared_utterances(experiment(tmp_path, registry))
    return {one.id for one in utterances if one.split in splits}


def mels(folder):
    return {path.stem: np.load(path) for path in folder.glob("*.npy")}


def test_each_utterance_of_the_splits_has_its_mel(run, registry, tmp_path):
    out = tmp_path / "mels"
    report = reconstruct(run, ("train", "valid"), out, device=CPU, registry=registry)
    assert (report.made, report.skipped, report.failures, report.left_out) == (10, 0, (), {})
    written = mels(out)
    assert written.keys() == of_splits(tmp_path, registry, "train", "valid")
    made = experiment(tmp_path, registry)
    corpus = open_corpus(made, registry)
    assert read_description(out) == made.audio
    for item in corpus.stored:
        if item.utterance.id not in written:
            continue
        samples = torch.from_numpy(item.features["waveform"].read().copy())[None]
        # Blanks are in what the model was trained on: the run's own table counts.
        symbols = find_voice(run, registry).read(registry).vocabulary.symbols
        count = symbols.encoded_length(item.features["phonemes"].shape[0])
        expected = mel_spectrogram(samples, made.audio)[0] + 0.5 + count
        read = read_mel(out / f"{item.utterance.id}.npy", made.audio)
        np.testing.assert_allclose(read, expected.numpy(), atol=1e-4)


def test_no_recording_is_needed(run, registry, tmp_path):
    (tmp_path / "recordings").rename(tmp_path / "elsewhere")
    report = reconstruct(run, ("valid",), tmp_path / "mels", device=CPU, registry=registry)
    assert report.made == 4


def test_it_goes_on_where_it_was_stopped_and_follows_the_weights(run, registry, tmp_path):
    out = tmp_path / "mels"

    def again(*splits):
        report = reconstruct(run, splits, out, device=CPU, registry=registry)
        return report.made, report.skipped

    assert again("valid") == (4, 0)
    assert again("train", "valid") == (6, 4)
    assert again("train", "valid") == (0, 10)
    next(out.glob("*.npy")).unlink()
    assert again("train", "valid") == (1, 9)
    before = mels(out)
    voice = find_voice(run, registry).read(registry)
    plain = resolve(tmp_path / "experiment.toml", registry=registry).plain
    save_checkpoint(run, plain, voice.vocabulary, step=200, gain=1.5)
    assert again("train", "valid") == (10, 0)
    for id, mel in mels(out).items():
        np.testing.assert_allclose(mel, before[id] + 1, atol=1e-4)
    older = reconstruct(checkpoint_path(run, 100), ("valid",), out, device=CPU, registry=registry)
    assert older.made == 4


def test_what_training_leaves_out_is_counted_and_named(run, registry, tmp_path):
    voice = find_voice(run, registry).read(registry)
    checkpoint = checkpoint_path(run, 100)
    symbols = evolve(
        voice.vocabulary.symbols,
        ids={s: i for s, i in voice.vocabulary.symbols.ids.items() if s != "w"},
    )
    write_vocabulary(checkpoint / "vocabulary.json", evolve(voice.vocabulary, symbols=symbols))
    out = tmp_path / "mels"
    report = reconstruct(run, ("train",), out, device=CPU, registry=registry)
    dropped = {row["id"]: row for row in map(json.loads, (out / "dropped.jsonl").open())}
    assert dropped.keys() == report.left_out.keys()
    assert {row["reason"] for row in dropped.values()} == {"unknown symbol"}
    assert 0 < len(dropped) < 6
    assert report.made == 6 - len(dropped)
    assert mels(out).keys() == of_splits(tmp_path, registry, "train") - dropped.keys()
    again = reconstruct(run, ("train",), out, device=CPU, registry=registry)
    assert (again.made, again.skipped, again.left_out) == (0, report.made, report.left_out)


def test_what_extraction_left_out_is_named_too(run, registry, tmp_path):
    limits = {"limits": {"max_seconds": 2.0}}
    made = experiment(tmp_path, registry)
    seconds = {item.utterance.id: item.seconds for item in open_corpus(made, registry).stored}
    for config in (run / "config.toml", checkpoint_path(run, 100) / "config.toml"):
        plain = resolve(config, registry=registry).plain
        write_toml(config, {**plain, "data": {**plain["data"], **limits}})
    report = reconstruct(run, ("train",), tmp_path / "mels", device=CPU, registry=registry)
    wanted = of_splits(tmp_path, registry, "train")
    long = {id for id in wanted if seconds[id] > 2}
    assert 0 < len(long) < len(wanted)
    assert report.left_out.keys() == long
    assert {why.reason for why in report.left_out.values()} == {"dropped by extraction"}
    assert report.made == len(wanted) - len(long)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda mel: mel * torch.nan, "NaN"),
        (lambda mel: mel[:, :, :-1], "the recording"),
        (lambda mel: mel[:, 1:], "19 bands"),
        (lambda mel: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_what_cannot_be_predicted_is_named_and_stops_nothing(
    run, registry, tmp_path, monkeypatch, spoil, reason
):
    made = experiment(tmp_path, registry)
    item = next(x for x in open_corpus(made, registry).stored if x.utterance.split == "train")
    spoilt = item.features["waveform"].shape[0]
    predict = Echo.reconstruct

    def reconstruct_spoilt(self, batch):
        mels = predict(self, batch)
        row = (batch["waveform"].lengths == spoilt).nonzero()
        if not len(row):
            return mels
        if len(batch) > 1:
            raise RuntimeError("one of them is spoilt")
        mel = spoil(mels.mel)
        return Mels(mel=mel, lengths=mels.lengths.clamp(max=mel.size(2)))

    monkeypatch.setattr(Echo, "reconstruct", reconstruct_spoilt)
    report = reconstruct(run, ("train",), tmp_path / "mels", device=CPU, registry=registry)
    assert report.made == 5
    (failure,) = report.failures
    assert failure.id == item.utterance.id
    assert reason in failure.reason


def test_only_a_run_has_recordings_to_say_again(run, registry, tmp_path):
    write_voice(tmp_path / "voice", find_voice(run, registry).read(registry), registry=registry)
    with pytest.raises(UserError, match="without the data"):
        reconstruct(
            tmp_path / "voice", ("train",), tmp_path / "mels", device=CPU, registry=registry
        )


def test_a_model_must_be_able_to(run, registry, tmp_path, monkeypatch):
    monkeypatch.delattr(Echo, "reconstruct")
    with pytest.raises(UserError, match="does not support teacher forcing"):
        reconstruct(run, ("train",), tmp_path / "mels", device=CPU, registry=registry)
    assert not (tmp_path / "mels").exists()


def test_mels_of_other_parameters_are_not_mixed_with_them(run, registry, tmp_path):
    made = experiment(tmp_path, registry)
    write_description(tmp_path / "mels", evolve(made.audio, f_max=3000.0), {})
    with pytest.raises(UserError, match="f_max: 3000.0 against None"):
        reconstruct(run, ("train",), tmp_path / "mels", device=CPU, registry=registry)


def test_a_split_without_utterances_is_an_error(run, registry, tmp_path):
    with pytest.raises(UserError, match="'golden_test' has no usable utterances"):
        reconstruct(run, ("golden_test",), tmp_path / "mels", device=CPU, registry=registry)


def test_what_was_written_is_what_a_vocoder_learns_from(run, registry, tmp_path):
    out = tmp_path / "mels"
    reconstruct(run, ("train", "valid"), out, device=CPU, registry=registry)
    overrides = [
        f'features.mel={{type = "mels", directory = "{out}"}}',
        "data.splits={valid = 4, test = 2, golden_test = 0}",
    ]
    made = resolve(tmp_path / "experiment.toml", overrides, registry=registry).experiment
    extracted = extract(made, registry)
    assert extracted.computed["mel"] == 10
    assert {why.reason for why in extracted.dropped.values()} == {"missing file"}
    assert extracted.dropped.keys() == of_splits(tmp_path, registry, "test")
    corpus = open_corpus(made, registry)
    vocabulary = corpus.build_vocabulary()
    for batch in corpus.loader("train", features=("waveform", "mel"), vocabulary=vocabulary):
        frames = frame_lengths(batch["waveform"].lengths, made.audio)
        assert torch.equal(batch["mel"].lengths, frames)


# The command.


@pytest.fixture
def command(registry, make_default, tmp_path, monkeypatch):
    make_default(registry)
    monkeypatch.chdir(tmp_path)

    def ran(*arguments):
        fixed = ("synthesize", "--mels", "--out", "mels")
        result = CliRunner().invoke(allophone, [*fixed, *map(str, arguments)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return ran


def test_the_command_writes_training_and_validation(run, command, registry, tmp_path):
    assert "Wrote 10 files, skipped 0" in command("--voice", run).stdout
    wanted = of_splits(tmp_path, registry, "train", "valid")
    assert mels(tmp_path / "mels").keys() == wanted
    # One of the two of the test split has a letter that training has never seen.
    more = command("--voice", run, "--split", "test, valid")
    assert "Wrote 1 files, skipped 4" in more.stdout
    assert "unknown symbol" in more.stdout
    assert more.exit_code == 0


def test_the_command_ends_with_status_1_when_something_fails(run, command, tmp_path, monkeypatch):
    monkeypatch.setattr(Echo, "reconstruct", lambda self, batch: 1 / 0)
    result = command("--voice", run, "--split", "valid")
    assert result.exit_code == 1
    assert "4 could not be predicted; see mels/failed.jsonl" in result.stderr


@pytest.mark.parametrize(
    "more", [("--seed", "1"), ("--length-scale", "2"), ("--list", __file__), ("--pause", "0.2")]
)
def test_options_that_mean_nothing_are_refused(run, command, more):
    with pytest.raises(UserError, match=f"{more[0]} cannot be used with --mels"):
        command("--voice", run, *more)


def test_the_run_and_the_splits_must_be_named_rightly(run, command):
    with pytest.raises(UserError, match="--mels requires --voice"):
        command()
    with pytest.raises(UserError, match="'tran'.*\n.*'train'"):
        command("--voice", run, "--split", "tran")
