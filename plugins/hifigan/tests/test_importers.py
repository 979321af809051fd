"""Importing checkpoints of other implementations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from attrs import evolve
from safetensors.torch import save_file

from allophone.audio.melspec import MelSpec
from allophone.errors import ConfigError, UserError
from allophone.files.run_folder import TRAINING_WEIGHTS
from allophone.inference.folder import read_vocoder
from allophone.inference.importing import import_checkpoint
from allophone.inference.vocoders import load_vocoder
from allophone.registry import default_registry
from allophone.training.finetune import read_source
from allophone.weights.files import read_weights
from allophone_hifigan.config import SIZES, DiscriminatorsConfig, HifiganConfig
from allophone_hifigan.discriminators import Discriminators
from allophone_hifigan.generator import Generator
from allophone_hifigan.importers import amphion, coqui, jik876
from allophone_hifigan.importers.names import discriminators_name, generator_name

State = dict[str, torch.Tensor]
PAIRED, SINGLE = evolve(SIZES["v2"], channels=32), evolve(SIZES["v3"], channels=16)
AUDIO = MelSpec(f_max=8000.0, magnitude_epsilon=1e-9)


def generator_state(config: HifiganConfig, mels: int = 80) -> tuple[State, State]:
    """Random weights, with our names and with the reference's."""
    torch.manual_seed(0)
    ours = Generator(config, mels=mels).state_dict()
    theirs = {generator_name(name, config): weight for name, weight in ours.items()}
    assert len(theirs) == len(ours)
    return ours, theirs


def sizes_of(config: HifiganConfig) -> dict[str, Any]:
    return {
        "resblock": config.residual_block,
        "upsample_rates": list(config.upsample_rates),
        "upsample_kernel_sizes": list(config.upsample_kernel_sizes),
        "upsample_initial_channel": config.channels,
        "resblock_kernel_sizes": list(config.residual_kernel_sizes),
        "resblock_dilation_sizes": [list(block) for block in config.residual_dilations],
    }


def assert_holds(folder: Path, config: HifiganConfig, audio: MelSpec, weights: State) -> None:
    stored = read_vocoder(folder)
    assert stored.description.vocoder == config
    assert stored.description.audio == audio
    assert stored.weights.keys() == weights.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(stored.weights[name], weight, msg=name)


def test_weights_have_the_names_of_the_published_models() -> None:
    _, theirs = generator_state(PAIRED)
    for name in ("conv_pre.weight_g", "ups.3.weight_v", "resblocks.11.convs2.2.bias"):
        assert name in theirs
    assert "resblocks.8.convs.1.weight_g" in generator_state(SINGLE)[1]


def write_jik876(
    folder: Path, state: State, config: HifiganConfig = PAIRED, name: str = "g_00002000"
) -> Path:
    torch.save({"generator": state}, folder / name)
    settings = {
        **sizes_of(config), "num_mels": 80, "n_fft": 1024, "hop_size": 256, "win_size": 1024,
        "sampling_rate": 22050, "fmin": 0, "fmax": 8000, "fmax_for_loss": None, "seed": 1234,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize("config", [PAIRED, SINGLE])
def test_a_generator_of_the_reference(tmp_path: Path, config: HifiganConfig) -> None:
    ours, theirs = generator_state(config)
    source = write_jik876(tmp_path, theirs, config)
    torch.save({"generator": {}}, source / "g_00001000")
    destination = tmp_path / "vocoder"
    assert import_checkpoint(source, destination, None, default_registry()) == "hifigan.jik876"
    assert_holds(destination, config, AUDIO, ours)
    assert not (destination / TRAINING_WEIGHTS).exists()
    load_vocoder(destination, AUDIO, device=torch.device("cpu"), registry=default_registry())


def test_discriminators_are_imported_for_fine_tuning(tmp_path: Path) -> None:
    _, theirs = generator_state(PAIRED)
    source = write_jik876(tmp_path, theirs)
    discriminators = Discriminators(DiscriminatorsConfig()).state_dict()
    parts: dict[str, State] = {"mpd": {}, "msd": {}}
    for name, weight in discriminators.items():
        part, _, rest = discriminators_name(name).partition(".")
        parts[part][f"module.{rest}"] = weight
    torch.save({**parts, "steps": 3, "epoch": 1, "optim_g": {}}, source / "do_00002000")
    jik876.import_checkpoint(source / "g_00002000", tmp_path / "vocoder")
    beside = read_weights(tmp_path / "vocoder" / TRAINING_WEIGHTS)
    assert beside.keys() == {f"discriminator.{name}" for name in discriminators}
    for name in ("scales.0.layers.1.parametrizations.weight.0._u", "periods.4.output.bias"):
        assert beside[f"discriminator.{name}"].equal(discriminators[name])
    beginning = read_source(tmp_path / "vocoder", inference_module="generator")
    assert beside.keys() < beginning.weights.keys()
    assert "generator.output.bias" in beginning.weights


def test_weights_with_folded_weight_norm(tmp_path: Path) -> None:
    ours, theirs = generator_state(PAIRED)
    folded: State = {}
    for name, weight in theirs.items():
        if name.endswith("weight_v"):
            length = weight.flatten(1).norm(dim=1).reshape(-1, *[1] * (weight.dim() - 1))
            folded[name.removesuffix("_v")] = weight * theirs[f"{name[:-1]}g"] / length
        elif not name.endswith("weight_g"):
            folded[name] = weight
    write_jik876(tmp_path, folded, name="generator_v2")
    jik876.import_checkpoint(tmp_path / "generator_v2", tmp_path / "vocoder")
    stored = read_vocoder(tmp_path / "vocoder")
    again, before = Generator(PAIRED, mels=80), Generator(PAIRED, mels=80)
    again.load_state_dict(dict(stored.weights))
    before.load_state_dict(ours)
    mel = torch.randn(1, 80, 4)
    torch.testing.assert_close(again(mel), before(mel), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda state: state.pop("ups.1.bias"), "missing: ups.1.bias"),
        (lambda state: state.update({"cond.bias": torch.ones(1)}), "unexpected: cond.bias"),
        (
            lambda state: state.update({"conv_pre.bias": torch.ones(7)}),
            r"conv_pre.bias: shape \[7\], expected \[32\]",
        ),
    ],
)
def test_mismatched_tensors_are_listed(
    tmp_path: Path, damage: Callable[[State], object], complaint: str
) -> None:
    _, theirs = generator_state(PAIRED)
    damage(theirs)
    with pytest.raises(UserError, match=complaint):
        jik876.import_checkpoint(write_jik876(tmp_path, theirs), tmp_path / "vocoder")
    assert not (tmp_path / "vocoder").exists()


def test_invalid_files_are_errors(tmp_path: Path) -> None:
    source = write_jik876(tmp_path, {})
    torch.save({"generator": Path.exists}, source / "g_00003000")
    with pytest.raises(UserError, match="not loaded, for safety"):
        jik876.import_checkpoint(source, tmp_path / "vocoder")
    torch.save({"mpd": {}}, source / "do_00003000")
    with pytest.raises(UserError, match="no entry 'generator'"):
        jik876.import_checkpoint(source / "do_00003000", tmp_path / "vocoder")
    settings = json.loads((source / "config.json").read_text())
    del settings["upsample_rates"]
    (source / "config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match="no entry 'upsample_rates'"):
        jik876.import_checkpoint(source / "g_00002000", tmp_path / "vocoder")
    (source / "config.json").unlink()
    with pytest.raises(UserError, match=r"no config\.json in the folder"):
        jik876.import_checkpoint(source / "g_00002000", tmp_path / "vocoder")


def test_rates_that_do_not_match_the_hop_length(tmp_path: Path) -> None:
    _, theirs = generator_state(PAIRED)
    source = write_jik876(tmp_path, theirs)
    settings = json.loads((source / "config.json").read_text()) | {"hop_size": 200}
    (source / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match=r"= 256.*hop_length is 200"):
        jik876.import_checkpoint(source, tmp_path / "vocoder")


@pytest.mark.parametrize("layout", ["pt", "safetensors", "bin"])
def test_an_experiment_of_amphion(tmp_path: Path, layout: str) -> None:
    ours, theirs = generator_state(SINGLE, mels=100)
    experiment = tmp_path / "hifigan_speech"
    if layout == "pt":
        folder = experiment / "checkpoints"
        folder.mkdir(parents=True)
        wrapped = {f"module.{name}": weight for name, weight in theirs.items()}
        torch.save({"generator_state_dict": wrapped, "steps": 400001}, folder / "400001.pt")
        torch.save({"generator_state_dict": {}}, folder / "20001.pt")
    else:
        folder = experiment / "checkpoint" / "epoch-0012_step-0000300_loss-1.0"
        folder.mkdir(parents=True)
        (folder.parent / "epoch-0009_step-0000200_loss-2.0").mkdir()
        if layout == "bin":
            torch.save(theirs, folder / "pytorch_model.bin")
        else:
            contiguous = {name: weight.clone() for name, weight in theirs.items()}
            save_file(contiguous, folder / "model.safetensors")
    arguments = {
        "model": {"generator": "hifigan", "hifigan": sizes_of(SINGLE)},
        "preprocess": {
            "n_mel": 100, "sample_rate": 24000, "n_fft": 1024, "hop_size": 256, "win_size": 1024,
            "fmin": 0, "fmax": 12000,
        },
    }  # fmt: skip
    as_json5 = json.dumps(arguments, indent=1).replace("\n }", ",\n }")
    (experiment / "args.json").write_text(as_json5)
    registry = default_registry()
    assert import_checkpoint(experiment, tmp_path / "vocoder", None, registry) == "hifigan.amphion"
    audio = evolve(AUDIO, sample_rate=24000, n_mels=100, f_max=12000.0)
    assert_holds(tmp_path / "vocoder", SINGLE, audio, ours)


def test_incomplete_experiments_are_errors(tmp_path: Path) -> None:
    assert not amphion.recognises(tmp_path / "400001.pt")
    with pytest.raises(UserError, match=r"no args\.json"):
        amphion.import_checkpoint(tmp_path, tmp_path / "vocoder")
    (tmp_path / "args.json").write_text('{"model": {"generator": "hifigan"}, "preprocess": {}}')
    assert amphion.recognises(tmp_path)
    with pytest.raises(UserError, match=r"no entry 'model\.hifigan'"):
        amphion.import_checkpoint(tmp_path, tmp_path / "vocoder")


PLAIN_MELS = {"signal_norm": False, "spec_gain": 1.0, "log_func": "np.log"}


def write_coqui(folder: Path, model: State, **audio: Any) -> Path:
    sizes = sizes_of(PAIRED)
    settings = {
        "generator_model": "hifigan_generator",
        "generator_model_params": {
            **{name: sizes[name] for name in sizes if name not in {"resblock", "upsample_rates"}},
            "upsample_factors": sizes["upsample_rates"],
            "resblock_type": sizes["resblock"],
        },
        "audio": {
            "sample_rate": 22050, "fft_size": 1024, "hop_length": 256, "win_length": 1024,
            "num_mels": 80, "mel_fmin": 50.0, "mel_fmax": None, **audio,
        },
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings))
    torch.save({"model": model, "step": 3}, folder / "model_file.pth")
    return folder / "model_file.pth"


@pytest.mark.parametrize("prefix", ["", "model_g."])
def test_a_vocoder_of_coqui(tmp_path: Path, prefix: str) -> None:
    ours, theirs = generator_state(PAIRED)
    # Newer versions name the parts of a weight as PyTorch does today.
    model = {
        prefix
        + name.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        ): weight
        for name, weight in theirs.items()
    }
    source = write_coqui(tmp_path, model, **PLAIN_MELS)
    registry = default_registry()
    assert import_checkpoint(source, tmp_path / "vocoder", None, registry) == "hifigan.coqui"
    audio = MelSpec(f_min=50.0, center=True, magnitude_epsilon=0.0, log_floor=1e-8)
    assert_holds(tmp_path / "vocoder", PAIRED, audio, ours)


def test_the_folder_of_a_checkpoint_is_not_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_coqui(tmp_path, {}, **PLAIN_MELS)
    monkeypatch.chdir(tmp_path)
    assert not coqui.recognises(Path("."))
    with pytest.raises(UserError, match="truncated or not a PyTorch file"):
        coqui.import_checkpoint(Path("."), tmp_path / "vocoder")


def test_coqui_mels_scaled_to_a_range(tmp_path: Path) -> None:
    _, theirs = generator_state(PAIRED)
    coqui.import_checkpoint(write_coqui(tmp_path, theirs), tmp_path / "vocoder")
    audio = read_vocoder(tmp_path / "vocoder").description.audio
    assert (audio.log_base, audio.clip_low, audio.clip_high) == ("10", -4.0, 4.0)
    # 20 dB for a factor of ten; from [-100, 0] dB above 20 dB to [-4, 4].
    for amplitude in (1e-3, 0.1, 2.0):
        decibels = 20 * torch.tensor(amplitude).log10() - 20
        theirs_scaled = 8 * (decibels + 100) / 100 - 4
        ours_scaled = torch.tensor(amplitude).log10() * audio.log_gain + audio.log_offset
        torch.testing.assert_close(ours_scaled, theirs_scaled)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [({"stats_path": "scale_stats.npy"}, "statistics"), ({"preemphasis": 0.97}, "pre-emphasis")],
)
def test_unsupported_coqui_mels_are_errors(
    tmp_path: Path, setting: dict[str, Any], complaint: str
) -> None:
    source = write_coqui(tmp_path, {}, **setting)
    with pytest.raises(UserError, match=complaint):
        coqui.import_checkpoint(source, tmp_path / "vocoder")
