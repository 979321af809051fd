"""Importing checkpoints of other implementations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import evolve
from safetensors.torch import save_file

from allophone.audio.melspec import MelSpec
from allophone.errors import ConfigError, UserError
from allophone.inference.folder import read_vocoder
from allophone.inference.importing import import_checkpoint
from allophone.inference.vocoders import load_vocoder
from allophone.registry import default_registry
from allophone_diffwave.config import DiffwaveConfig, NoiseConfig
from allophone_diffwave.importers import lmnt
from allophone_diffwave.importers.checkpoint import reference_name
from allophone_diffwave.network import Denoiser

State = dict[str, torch.Tensor]
CONFIG = DiffwaveConfig(channels=8, layers=3, dilation_cycle=2, noise=NoiseConfig(steps=20))
AMPHION = MelSpec(sample_rate=24000, n_mels=100, f_max=12000.0, magnitude_epsilon=1e-9)


def state_of(config: DiffwaveConfig, mels: int) -> tuple[State, State]:
    """Random weights, with our names and with the reference's."""
    torch.manual_seed(0)
    ours = Denoiser(config, mels=mels).state_dict()
    return ours, {reference_name(name): weight for name, weight in ours.items()}


def write_lmnt(folder: Path, state: State, **changed: Any) -> Path:
    parameters = {
        "sample_rate": 22050, "n_mels": 80, "n_fft": 1024, "hop_samples": 256,
        "crop_mel_frames": 62, "max_grad_norm": None, "batch_size": 16, "learning_rate": 2e-4,
        "residual_layers": 3, "residual_channels": 8, "dilation_cycle_length": 2,
        "noise_schedule": np.linspace(1e-4, 0.05, 20).tolist(),
        "inference_noise_schedule": [0.0001, 0.001, 0.01, 0.05, 0.2, 0.5],
        **changed,
    }  # fmt: skip
    content = {"step": 7, "model": state, "optimizer": {}, "params": parameters, "scaler": {}}
    torch.save(content, folder / "weights.pt")
    return folder


def write_amphion(folder: Path, state: State) -> Path:
    arguments = {
        "model": {
            "generator": "diffwave",
            "diffwave": {
                "residual_channels": 8,
                "residual_layers": 3,
                "dilation_cycle_length": 2,
                "noise_schedule_factors": [1e-4, 0.05, 20],
                "upsample_factors": [16, 16],
            },
        },
        "preprocess": {
            "sample_rate": 24000, "n_fft": 1024, "hop_size": 256, "win_size": 1024,
            "n_mel": 100, "fmin": 0, "fmax": 12000,
        },
    }  # fmt: skip
    (folder / "args.json").write_text(json.dumps(arguments))
    checkpoint = folder / "checkpoint" / "epoch-0012_step-0000300_loss-0.100000"
    checkpoint.mkdir(parents=True)
    save_file(state, checkpoint / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("write", "format", "audio"),
    [(write_lmnt, "lmnt", lmnt.mels_of()), (write_amphion, "amphion", AMPHION)],
)
def test_a_checkpoint_becomes_a_vocoder(
    tmp_path: Path, write: Any, format: str, audio: MelSpec
) -> None:
    ours, theirs = state_of(CONFIG, audio.n_mels)
    (tmp_path / "source").mkdir()
    source, destination = write(tmp_path / "source", theirs), tmp_path / "vocoder"
    found = import_checkpoint(source, destination, None, default_registry())
    assert found == f"diffwave.{format}"
    stored = read_vocoder(destination)
    assert stored.description.vocoder == CONFIG
    assert stored.description.audio == audio
    assert stored.weights.keys() == ours.keys()
    for name, weight in ours.items():
        assert stored.weights[name].equal(weight), name
    load_vocoder(destination, audio, device=torch.device("cpu"), registry=default_registry())


def test_weights_have_the_names_of_the_reference() -> None:
    _, theirs = state_of(CONFIG, 80)
    for name in (
        "input_projection.weight", "diffusion_embedding.projection2.bias",
        "spectrogram_upsampler.conv1.weight", "residual_layers.2.diffusion_projection.weight",
        "residual_layers.0.dilated_conv.bias", "residual_layers.1.conditioner_projection.weight",
        "residual_layers.1.output_projection.bias", "skip_projection.weight",
        "output_projection.weight",
    ):  # fmt: skip
        assert name in theirs


def test_mismatches_are_errors(tmp_path: Path) -> None:
    _, theirs = state_of(CONFIG, 80)
    uneven = write_lmnt(tmp_path, theirs, noise_schedule=[1e-4, 1e-3, 0.05])
    with pytest.raises(UserError, match="not linearly spaced"):
        lmnt.import_checkpoint(uneven, tmp_path / "vocoder")
    with pytest.raises(ConfigError, match="16 x 16 = 256"):
        lmnt.import_checkpoint(write_lmnt(tmp_path, theirs, hop_samples=200), tmp_path / "vocoder")
    theirs["more.weight"] = theirs.pop("skip_projection.bias")
    with pytest.raises(
        UserError, match=r"missing: skip_projection.bias\n.*unexpected: more.weight"
    ):
        lmnt.import_checkpoint(write_lmnt(tmp_path, theirs), tmp_path / "vocoder")


def test_other_files_are_not_recognised(tmp_path: Path) -> None:
    assert not lmnt.recognises(tmp_path)
    torch.save({"model": {}, "params": {"hidden": 3}}, tmp_path / "weights.pt")
    assert not lmnt.recognises(tmp_path)
    (tmp_path / "weights.pt").write_bytes(b"none")
    assert not lmnt.recognises(tmp_path / "weights.pt")


def test_mels_differ_from_those_of_hifigan() -> None:
    told_apart = {line.partition(":")[0] for line in lmnt.mels_of().differences(MelSpec())}
    assert {"center", "normalize_window", "mel_scale", "mel_norm", "log_base"} < told_apart
    assert not lmnt.mels_of().differences(evolve(lmnt.mels_of(), f_max=11025.0))
