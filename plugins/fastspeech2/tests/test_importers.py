"""Importers: imported voices match the implementations that they come from.

data/reference-shapes.json has the names and shapes of a small model's state, and data/imported.npz its output,
both from github.com/ming024/FastSpeech2 in float32 on a CPU, one utterance at a time, with the weights of
`generated_weight`, the bins of `RANGES` and the settings of `MODEL`.

Legend: B batch, T text, F frames, M mel bands.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.inference.folder import StoredVoice, read_voice
from allophone.inference.importing import import_checkpoint
from allophone.inference.protocol import Mels, TextBatch
from allophone.registry import default_registry
from allophone_fastspeech2.config import (
    DecoderConfig,
    EncoderConfig,
    FastSpeech2Config,
    FastSpeech2Controls,
    PredictorConfig,
    VarianceConfig,
)
from allophone_fastspeech2.importers import amphion, ming024
from allophone_fastspeech2.synthesis import build_synthesizer

State = dict[str, torch.Tensor]
DATA = Path(__file__).parent / "data"
SPEAKERS = {"ann": 0, "bob": 1, "eve": 2}
RANGES = {"pitch": (-2.5, 4.0), "energy": (-1.4, 5.0)}
STATISTICS = {"pitch": [-2.5, 4.0, 200.0, 50.0], "energy": [-1.4, 5.0, 40.0, 28.0]}
CONFIG = FastSpeech2Config(
    hidden_channels=16,
    encoder=EncoderConfig(layers=2, feed_forward_channels=24),
    decoder=DecoderConfig(layers=3, feed_forward_channels=24),
    predictor=PredictorConfig(channels=20),
    pitch=VarianceConfig(bins=16),
    energy=VarianceConfig(bins=16),
    durations="stored",
)
AUDIO = MelSpec(f_max=8000.0, magnitude_epsilon=1e-9)
"""Mel settings of HiFi-GAN, whose published vocoders are used with these models."""

MODEL: dict[str, Any] = {
    "transformer": {
        "encoder_head": 2, "decoder_head": 2, "encoder_dropout": 0.2, "decoder_dropout": 0.2,
    },
    "variance_predictor": {"filter_size": 20, "kernel_size": 3, "dropout": 0.5},
}  # fmt: skip


def preprocess(**changes: Any) -> dict[str, Any]:
    return {
        "dataset": "LJSpeech",
        "path": {"preprocessed_path": "./preprocessed_data/LJSpeech"},
        "preprocessing": {
            "text": {"language": "en"},
            "audio": {"sampling_rate": 22050},
            "stft": {"filter_length": 1024, "hop_length": 256, "win_length": 1024},
            "mel": {"n_mel_channels": 80, "mel_fmin": 0, "mel_fmax": 8000},
            "pitch": {"feature": "phoneme_level"},
            "energy": {"feature": "phoneme_level"},
            **changes,
        },
    }


@cache
def reference_state() -> State:
    """State of the small model under the reference's names; its positional encodings are ignored."""
    shapes = json.loads((DATA / "reference-shapes.json").read_text())
    state = {name: generated_weight(name, shape) for name, shape in shapes.items()}
    for name, (low, high) in RANGES.items():
        bins = f"variance_adaptor.{name}_bins"
        state[bins] = torch.linspace(low, high, *state[bins].shape)
    return state


def generated_weight(name: str, shape: list[int]) -> torch.Tensor:
    """Generate a weight from its name: normal, with a scale typical of trained models."""
    draw = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if "num_batches" in name:
        return torch.tensor(0)
    values = draw / (np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 5)
    if ("norm" in name and name.endswith("weight")) or name.endswith("running_var"):
        values = 1 + np.abs(draw) / 5
    if "duration_predictor.linear" in name:
        # Avoid durations of 0 frames, which the reference allows in synthesis.
        values = values / 4 + 1.4 * name.endswith("bias")
    if "_emb" in name:
        values = draw / 2
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def write_ming024(folder: Path, state: State | None = None, **changes: Any) -> Path:
    """Write a checkpoint with its settings and statistics next to it."""
    # The reference's schedule stores a NumPy scalar.
    optimizer = {"state": {}, "param_groups": [{"lr": np.float64(1e-3), "params": [0]}]}
    source = folder / "900000.pth.tar"
    torch.save({"model": state or reference_state(), "optimizer": optimizer}, source)
    (folder / "preprocess.yaml").write_text(yaml.safe_dump(preprocess(**changes)))
    (folder / "model.yaml").write_text(yaml.safe_dump(MODEL))
    (folder / "stats.json").write_text(json.dumps(STATISTICS))
    (folder / "speakers.json").write_text(json.dumps(SPEAKERS))
    return source


def synthesize(voice: StoredVoice, ids: list[int], speaker: int) -> Mels:
    synthesizer = build_synthesizer(voice.spec, voice.weights, torch.device("cpu"))
    text = TextBatch(
        ids=torch.tensor([ids]),
        lengths=torch.tensor([len(ids)]),
        speakers=torch.tensor([speaker]),
        languages=torch.zeros(1, dtype=torch.long),
        seeds=(0,),
    )
    with torch.no_grad():
        return synthesizer.synthesize(text, FastSpeech2Controls())


def assert_matches_the_reference(voice: StoredVoice) -> None:
    assert voice.description.model == CONFIG
    assert voice.description.audio == AUDIO
    with np.load(DATA / "imported.npz") as golden:
        for row in (0, 1):
            mels = synthesize(voice, golden[f"{row}/ids"].tolist(), int(golden[f"{row}/speaker"]))
            assert mels.durations[0].tolist() == golden[f"{row}/durations"].tolist()
            expected = torch.from_numpy(golden[f"{row}/mel"])
            assert expected.abs().mean() > 0.1
            torch.testing.assert_close(mels.mel[0].T, expected, rtol=1e-4, atol=1e-4)


def statistics(voice: StoredVoice, name: str) -> dict[str, float]:
    prefix = f"variance_adaptor.{name}.statistics."
    return {
        part.removeprefix(prefix): tensor.item()
        for part, tensor in voice.weights.items()
        if part.startswith(prefix)
    }


def test_reference_checkpoint(tmp_path: Path) -> None:
    write_ming024(tmp_path)
    destination = tmp_path / "voice"
    assert import_checkpoint(tmp_path, destination, None, default_registry()) == (
        "fastspeech2.ming024"
    )
    voice = read_voice(destination)
    assert_matches_the_reference(voice)
    assert voice.description.about.name == "LJSpeech-900000"
    assert voice.vocabulary.speakers == tuple(SPEAKERS)
    assert statistics(voice, "pitch") == pytest.approx(
        {"minimum": -2.5, "maximum": 4.0, "mean": 200.0, "deviation": 50.0}
    )
    assert statistics(voice, "energy")["mean"] == 40.0


def test_settings_are_found_in_the_repository_layout(tmp_path: Path) -> None:
    folders = [
        tmp_path / place / "LJSpeech" for place in ("output/ckpt", "config", "preprocessed_data")
    ]
    for folder in folders:
        folder.mkdir(parents=True)
    checkpoints, config, prepared = folders
    source = write_ming024(checkpoints)
    torch.save({"model": {}}, checkpoints / "1000.pth.tar")
    for name, folder in (
        ("preprocess.yaml", config),
        ("model.yaml", config),
        ("stats.json", prepared),
        ("speakers.json", prepared),
    ):
        (checkpoints / name).rename(folder / name)
    assert ming024.recognises(checkpoints)
    assert ming024.recognises(source)
    ming024.import_checkpoint(checkpoints, tmp_path / "voice")
    voice = read_voice(tmp_path / "voice")
    assert voice.vocabulary.speakers == tuple(SPEAKERS)
    assert statistics(voice, "energy")["deviation"] == 28.0


def test_single_speaker_model(tmp_path: Path) -> None:
    state = {name: value for name, value in reference_state().items() if "speaker" not in name}
    ming024.import_checkpoint(write_ming024(tmp_path, state), tmp_path / "voice")
    assert read_voice(tmp_path / "voice").vocabulary.speakers == ()


def test_missing_statistics(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = write_ming024(tmp_path)
    (tmp_path / "stats.json").unlink()
    (tmp_path / "speakers.json").unlink()
    with caplog.at_level(logging.WARNING):
        ming024.import_checkpoint(source, tmp_path / "voice")
    assert "of its pitch are unknown" in caplog.text
    voice = read_voice(tmp_path / "voice")
    assert "of its energy are unknown" in voice.description.about.summary
    assert voice.vocabulary.speakers == ("0", "1", "2")
    assert statistics(voice, "pitch") == pytest.approx(
        {"minimum": -2.5, "maximum": 4.0, "mean": 0.0, "deviation": 1.0}
    )
    assert_matches_the_reference(voice)


def test_mismatched_statistics(tmp_path: Path) -> None:
    source = write_ming024(tmp_path)
    (tmp_path / "stats.json").write_text(json.dumps(STATISTICS | {"pitch": [-3, 4, 200, 50]}))
    with pytest.raises(UserError, match=r"pitch range from -3 to 4.*from -2\.5 to 4"):
        ming024.import_checkpoint(source, tmp_path / "voice")
    (tmp_path / "stats.json").write_text('{"pitch": [1, 2]}')
    with pytest.raises(UserError, match=r"'pitch' must be \[minimum, maximum"):
        ming024.import_checkpoint(source, tmp_path / "voice")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda state: state.pop("mel_linear.bias"), "missing: mel_linear.bias"),
        (lambda state: state.update({"gst.bias": torch.ones(1)}), "unexpected: gst.bias"),
        (
            lambda state: state.update({"mel_linear.bias": torch.ones(7)}),
            r"mel_linear.bias: shape \[7\], expected \[80\]",
        ),
        (
            lambda state: state.update({"encoder.src_word_emb.weight": torch.ones(99, 16)}),
            "has 99 symbols",
        ),
        (
            lambda state: state.update({"variance_adaptor.pitch_bins": torch.logspace(0, 2, 15)}),
            "bins of pitch are logarithmic",
        ),
        (
            lambda state: state.pop("variance_adaptor.energy_bins"),
            "missing: variance_adaptor.energy_bins",
        ),
        (
            lambda state: state.update({"variance_adaptor.energy_bins": torch.arange(9)}),
            r"energy_bins: shape \[9\], expected \[15\]",
        ),
        (
            lambda state: state.pop("encoder.src_word_emb.weight"),
            "no tensor 'encoder.src_word_emb.weight'",
        ),
    ],
)
def test_mismatched_tensors_are_named(
    tmp_path: Path, damage: Callable[[State], object], message: str
) -> None:
    state = dict(reference_state())
    damage(state)
    with pytest.raises(UserError, match=message):
        ming024.import_checkpoint(write_ming024(tmp_path, state), tmp_path / "voice")
    assert not (tmp_path / "voice").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": {"language": "fi"}}, "Unsupported language 'fi'"),
        (
            {"pitch": {"feature": "word_level"}},
            "preprocessing.pitch.feature must be one of .* got 'word_level'",
        ),
        ({"stft": {}}, "no entry 'preprocessing.stft.filter_length'"),
    ],
)
def test_unsupported_settings(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ming024.import_checkpoint(write_ming024(tmp_path, **changes), tmp_path / "voice")


def test_invalid_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No checkpoint <step>.pth.tar in"):
        ming024.import_checkpoint(tmp_path, tmp_path / "voice")
    source = write_ming024(tmp_path)
    torch.save({"model": Path.exists}, source)
    with pytest.raises(UserError, match="not loaded, for safety"):
        ming024.import_checkpoint(source, tmp_path / "voice")
    torch.save({"optimizer": {}}, source)
    with pytest.raises(UserError, match="contains no weights"):
        ming024.import_checkpoint(source, tmp_path / "voice")
    source.write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match="900000"):
        ming024.import_checkpoint(source, tmp_path / "voice")
    (tmp_path / "model.yaml").write_text("transformer: [")
    with pytest.raises(UserError, match=r"model\.yaml is not valid YAML"):
        ming024.import_checkpoint(source, tmp_path / "voice")
    (tmp_path / "model.yaml").unlink()
    assert not ming024.recognises(source)
    with pytest.raises(UserError, match=r"No model\.yaml next to"):
        ming024.import_checkpoint(source, tmp_path / "voice")


def test_missing_pyyaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_ming024(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    assert ming024.recognises(source)
    with pytest.raises(UserError, match="needs the package PyYAML") as raised:
        ming024.import_checkpoint(source, tmp_path / "voice")
    assert raised.value.hint == "pip install pyyaml"


def write_amphion(root: Path, layout: str, **changes: Any) -> Path:
    """Write an experiment and its prepared corpus in the layout of the recipe."""
    experiment = root / "ckpts" / "tts" / "fastspeech2_speech"
    for step in (200, 300):
        folder = experiment / "checkpoint" / f"epoch-0{step}_step-0000{step}_loss-1.0"
        folder.mkdir(parents=True)
        state = reference_state() if step == 300 else {"encoder.bias": torch.ones(1)}
        if layout == "bin":
            wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
            torch.save(wrapped, folder / "pytorch_model.bin")
        else:
            save_file(state, folder / "model.safetensors")
    arguments = {
        "model_type": "FastSpeech2",
        "dataset": ["LJSpeech"],
        "preprocess": {
            "processed_dir": "data", "spk2id": "spk2id.json",
            "phone_pitch_dir": "phone_pitches", "phone_energy_dir": "phone_energys",
            "use_frame_pitch": False, "use_frame_energy": False,
            "sample_rate": 22050, "n_fft": 1024, "hop_size": 256, "win_size": 1024,
            "n_mel": 80, "fmin": 0, "fmax": 8000, **changes,
        },
        "model": MODEL,
    }  # fmt: skip
    as_json5 = json.dumps(arguments, indent=1).replace("\n }", ", // the last\n }")
    (experiment / "args.json").write_text(as_json5)
    corpus = root / "data" / "LJSpeech"
    for name, (low, high, mean, deviation) in STATISTICS.items():
        folder = corpus / ("phone_pitches" if name == "pitch" else "phone_energys")
        folder.mkdir(parents=True)
        total = {"min": low * deviation + mean, "max": high * deviation + mean}
        voiced = {"mean": mean, "std": deviation}
        numbers = {"LJSpeech_LJSpeech": {"voiced_positions": voiced, "total_positions": total}}
        (folder / "statistics.json").write_text(json.dumps(numbers))
    (corpus / "spk2id.json").write_text(json.dumps(SPEAKERS))
    return experiment


@pytest.mark.parametrize("layout", ["bin", "safetensors"])
def test_amphion_experiment(tmp_path: Path, layout: str) -> None:
    experiment = write_amphion(tmp_path, layout)
    destination = tmp_path / "voice"
    assert import_checkpoint(experiment, destination, None, default_registry()) == (
        "fastspeech2.amphion"
    )
    voice = read_voice(destination)
    assert_matches_the_reference(voice)
    assert voice.description.about.name == "fastspeech2_speech"
    assert voice.description.about.summary == ""
    assert voice.vocabulary.speakers == tuple(SPEAKERS)
    assert statistics(voice, "pitch")["mean"] == 200.0
    assert statistics(voice, "energy")["deviation"] == 28.0


def test_amphion_experiment_without_its_corpus(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = write_amphion(tmp_path, "bin", use_frame_energy=True, processed_dir="elsewhere")
    checkpoint = experiment / "checkpoint" / "epoch-0300_step-0000300_loss-1.0"
    amphion.import_checkpoint(checkpoint, tmp_path / "voice")
    assert "mean and deviation of its pitch are unknown" in caplog.text
    voice = read_voice(tmp_path / "voice")
    assert voice.description.model.energy.level == "frame"
    assert voice.vocabulary.speakers == ("0", "1", "2")


def test_other_files_are_not_recognised(tmp_path: Path) -> None:
    assert not amphion.recognises(tmp_path)
    with pytest.raises(UserError, match=r"no args\.json"):
        amphion.import_checkpoint(tmp_path, tmp_path / "voice")
    arguments = tmp_path / "args.json"
    arguments.write_text('{"model_type": "VITS"}')
    assert not amphion.recognises(tmp_path)
    arguments.write_text("[1]")
    assert not amphion.recognises(tmp_path)
    arguments.write_text('{"model_type": "FastSpeech2", "dataset": ["LJSpeech"]}')
    assert amphion.recognises(tmp_path)
    with pytest.raises(UserError, match=r"neither model\.safetensors nor pytorch_model\.bin"):
        amphion.import_checkpoint(tmp_path, tmp_path / "voice")
