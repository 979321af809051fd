"""Imported voices hold exactly the weights of the public implementation's checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
import torch
from attrs import evolve

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.files.run_folder import TRAINING_WEIGHTS
from allophone.inference.folder import read_voice
from allophone.inference.importing import import_checkpoint
from allophone.registry import default_registry
from allophone.training.finetune import read_source
from allophone.weights.files import read_weights
from allophone_vits.config import SIZES
from allophone_vits.importers.jaywalnut310 import PUBLISHED_SYMBOLS
from allophone_vits2.config import (
    DurationDiscriminatorConfig,
    FlowKind,
    Vits2Config,
    Vits2DurationConfig,
    Vits2FlowConfig,
    Vits2PosteriorEncoderConfig,
)
from allophone_vits2.duration_discriminator import DurationDiscriminator
from allophone_vits2.importers import p0p4k
from allophone_vits2.importers.names import (
    reference_duration_discriminator_name,
    reference_generator_name,
)
from allophone_vits2.model import Vits2

SPEAKERS = 3


def config_of(kind: FlowKind, *, speakers: int, **changes: Any) -> Vits2Config:
    small = SIZES["x-low"]
    config = Vits2Config(
        latent_channels=small.latent_channels,
        text_speaker=speakers > 1,
        text_encoder=small.text_encoder,
        posterior_encoder=Vits2PosteriorEncoderConfig(hidden_channels=96, layers=2),
        flow=Vits2FlowConfig(kind=kind, hidden_channels=96),
        duration=Vits2DurationConfig(channels=32, noise_channels=0),
        decoder=small.decoder,
    )
    return evolve(config, **changes)


def write(
    folder: Path, config: Vits2Config, *, speakers: int = 1, **settings: Any
) -> dict[str, torch.Tensor]:
    """Write a checkpoint with random weights; returns them under our names."""
    torch.manual_seed(0)
    audio = MelSpec()
    model = Vits2(config, vocabulary_size=len(PUBLISHED_SYMBOLS), speakers=speakers, audio=audio)
    ours = {name: torch.randn_like(weight) for name, weight in model.state_dict().items()}
    theirs = {
        reference_generator_name(name, flow=config.flow.kind, blocks=3, paired=False): weight
        for name, weight in ours.items()
    }
    assert len(theirs) == len(ours)
    if config.flow.kind == "pre_conv":
        theirs["flow.flows.0.post_transformer.attn_layers.0.conv_q.bias"] = torch.ones(96)
    torch.save({"model": theirs, "iteration": 3}, folder / "G_2000.pth")
    content = {
        "data": {
            "sampling_rate": 22050, "filter_length": 1024, "hop_length": 256, "win_length": 1024,
            "n_mel_channels": 80, "mel_fmin": 0.0, "mel_fmax": None, "add_blank": False,
            "text_cleaners": ["english_cleaners3"], "n_speakers": speakers if speakers > 1 else 0,
        },
        "model": {
            "use_mel_posterior_encoder": True,
            "use_transformer_flows": config.flow.kind != "wavenet",
            "transformer_flow_type": config.flow.kind,
            "upsample_rates": list(config.decoder.upsample_rates),
            "resblock_dilation_sizes": [list(row) for row in config.decoder.residual_dilations],
            **settings,
        },
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(content))
    return ours


@pytest.mark.parametrize("speakers", [1, SPEAKERS])
@pytest.mark.parametrize("kind", get_args(FlowKind))
def test_every_flow_and_number_of_speakers(kind: FlowKind, speakers: int, tmp_path: Path) -> None:
    config = config_of(kind, speakers=speakers)
    if kind == "fft":
        config = evolve(config, flow=evolve(config.flow, feed_forward_channels=64))
    ours = write(tmp_path, config, speakers=speakers)
    destination = tmp_path / "voice"
    assert import_checkpoint(tmp_path, destination, None, default_registry()) == "vits2.p0p4k"

    voice = read_voice(destination)
    assert voice.description.model == config
    assert not voice.description.text.blank
    assert len(voice.vocabulary.speakers) == (speakers if speakers > 1 else 0)
    assert voice.weights.keys() == ours.keys()
    for name, weight in ours.items():
        torch.testing.assert_close(voice.weights[name], weight, msg=name)


def test_linear_spectrogram_and_stochastic_durations(tmp_path: Path) -> None:
    config = config_of(
        "pre_conv2",
        speakers=1,
        posterior_encoder=Vits2PosteriorEncoderConfig(hidden_channels=96, layers=2, reads="linear"),
        duration=Vits2DurationConfig(kind="stochastic", stochastic_channels=96),
    )
    write(tmp_path, config)
    p0p4k.import_checkpoint(tmp_path / "G_2000.pth", tmp_path / "voice")
    assert read_voice(tmp_path / "voice").description.model == config


@pytest.mark.parametrize("kind", ["normed", "linear"])
def test_the_duration_discriminator_is_kept_for_finetuning(
    kind: Literal["normed", "linear"], tmp_path: Path
) -> None:
    write(tmp_path, config_of("wavenet", speakers=1))
    discriminator = DurationDiscriminator(
        DurationDiscriminatorConfig(kind=kind, channels=8), text_channels=96
    )
    theirs = {
        reference_duration_discriminator_name(name): torch.randn_like(weight)
        for name, weight in discriminator.state_dict().items()
    }
    if kind == "linear":
        unused = {"pre_out_norm_1.gamma": torch.ones(8), "pre_out_norm_1.beta": torch.ones(8)}
    else:
        unused = {}
    torch.save({"model": theirs | unused}, tmp_path / "DUR_2000.pth")
    p0p4k.import_checkpoint(tmp_path, tmp_path / "voice")

    extra_weights = read_weights(tmp_path / "voice" / TRAINING_WEIGHTS)
    assert len(extra_weights) == len(theirs)
    source = read_source(tmp_path / "voice", inference_module="generator")
    assert source.weights["duration_discriminator.duration.weight"].equal(theirs["dur_proj.weight"])


def test_unknown_flow_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, config_of("pre_conv2", speakers=1), transformer_flow_type="post_conv")
    with pytest.raises(UserError, match="'post_conv'"):
        p0p4k.import_checkpoint(tmp_path, tmp_path / "voice")


def test_flow_that_contradicts_the_settings_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, config_of("pre_conv2", speakers=1), use_transformer_flows=False)
    with pytest.raises(UserError, match="unexpected: flow.flows.0.pre_transformer"):
        p0p4k.import_checkpoint(tmp_path, tmp_path / "voice")
