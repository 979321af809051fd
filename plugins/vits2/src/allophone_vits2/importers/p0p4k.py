"""Importer of p0p4k/vits2_pytorch: `G_<step>.pth`, `D_<step>.pth`, `DUR_<step>.pth` and `config.json`.

The file layout, symbols and most settings are those of VITS and are read with its importer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal, cast, get_args

from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.files.run_folder import TRAINING_WEIGHTS
from allophone.foreign.settings import Settings
from allophone.foreign.tensors import Shapes, convert_state_dict
from allophone.inference.folder import StoredVoice, write_voice
from allophone.synthesis.description import About, VoiceDescription
from allophone.weights.files import add_prefix, write_weights
from allophone.weights.loading import skip_init
from allophone_vits.config import DiscriminatorConfig
from allophone_vits.importers.checkpoint import ReferenceCheckpoint
from allophone_vits.importers.jaywalnut310 import (
    FORK_SETTINGS,
    find_files,
    peek_config,
    read_checkpoint,
)
from allophone_vits.importers.reference import (
    discriminator_weights,
    infer_decoder,
    infer_durations,
    infer_posterior_encoder,
    infer_text_encoder,
    trim_vocabulary,
)
from allophone_vits2.config import (
    DurationDiscriminatorConfig,
    FlowKind,
    Vits2Config,
    Vits2DurationConfig,
    Vits2FlowConfig,
    Vits2PosteriorEncoderConfig,
)
from allophone_vits2.duration_discriminator import DurationDiscriminator
from allophone_vits2.importers.names import (
    reference_duration_discriminator_name,
    reference_generator_name,
)
from allophone_vits2.model import Vits2

Tensors = Mapping[str, Tensor]

_UNUSED = re.compile(r"flow\.flows\.\d+\.post_transformer\.")
"""Weights of the flow "pre_conv" that its forward pass does not use."""

_UNUSED_NORMS = re.compile(r"pre_out_norm_\d\.")
"""Weights of the "linear" duration discriminator that its forward pass does not use."""


def recognises(source: Path) -> bool:
    """Whether `source` is a generator's checkpoint or a folder with such checkpoints."""
    config = peek_config(source)
    return any(setting in config for setting in FORK_SETTINGS)


def import_checkpoint(source: Path, destination: Path) -> None:
    """Convert a checkpoint, or the latest checkpoint in a folder, to a voice folder.

    The discriminators' weights are written to a separate file, for fine-tuning.
    """
    files = find_files(source)
    checkpoint = read_checkpoint(files)
    voice = _build_voice(checkpoint, files.config, About(name=source.stem, licence="not stated"))
    extra_weights: dict[str, Tensor] = {}
    if checkpoint.discriminator is not None:
        weights = discriminator_weights(checkpoint.discriminator, DiscriminatorConfig())
        extra_weights |= add_prefix(weights, "discriminator")
    durations = files.read_companion("DUR_")
    if durations is not None:
        extra_weights |= add_prefix(
            duration_discriminator_weights(durations), "duration_discriminator"
        )
    write_voice(destination, voice)
    if extra_weights:
        write_weights(destination / TRAINING_WEIGHTS, extra_weights)


def _build_voice(checkpoint: ReferenceCheckpoint, settings: Settings, about: About) -> StoredVoice:
    symbols, speakers = checkpoint.vocabulary.symbols, len(checkpoint.vocabulary.speakers)
    tensors = {
        name: tensor
        for name, tensor in trim_vocabulary(checkpoint.generator, symbols.size).items()
        if not _UNUSED.match(name)
    }
    config = infer_config(tensors, checkpoint, settings)
    with skip_init():
        model = Vits2(
            config, vocabulary_size=symbols.size, speakers=speakers, audio=checkpoint.audio
        )
    name = partial(
        reference_generator_name,
        flow=config.flow.kind,
        blocks=len(config.decoder.residual_kernel_sizes),
        paired=config.decoder.residual_block == "1",
    )
    return StoredVoice(
        description=VoiceDescription(
            about=about,
            model=config,
            audio=checkpoint.audio,
            text=checkpoint.text,
        ),
        vocabulary=checkpoint.vocabulary,
        weights=convert_state_dict(tensors, model.state_dict(), name),
    )


def infer_config(
    tensors: Tensors, checkpoint: ReferenceCheckpoint, settings: Settings
) -> Vits2Config:
    """Infer the configuration from the shapes of `tensors` and the settings of the checkpoint."""
    shape = Shapes(tensors, "VITS2")
    durations = infer_durations(shape)
    if durations.kind == "stochastic":
        duration = Vits2DurationConfig(
            kind="stochastic",
            stochastic_channels=durations.channels,
            kernel_size=durations.kernel_size,
            couplings=durations.couplings,
        )
    else:
        duration = Vits2DurationConfig(
            channels=durations.channels, kernel_size=durations.kernel_size, noise_channels=0
        )
    posterior = infer_posterior_encoder(shape)
    return Vits2Config(
        latent_channels=shape("enc_p.proj")[0] // 2,
        speaker_channels=(
            shape("emb_g")[1] if "emb_g.weight" in tensors else Vits2Config().speaker_channels
        ),
        text_speaker="enc_p.encoder.spk_emb_linear.weight" in tensors,
        text_encoder=infer_text_encoder(shape),
        posterior_encoder=Vits2PosteriorEncoderConfig(
            hidden_channels=posterior.hidden_channels,
            layers=posterior.layers,
            kernel_size=posterior.kernel_size,
            reads=_spectrogram_kind(shape("enc_q.pre")[1], checkpoint.audio),
        ),
        flow=_infer_flow(shape, _flow_kind(settings)),
        duration=duration,
        decoder=infer_decoder(shape, checkpoint.upsample_rates, checkpoint.residual_dilations),
    )


def _spectrogram_kind(bins: int, audio: MelSpec) -> Literal["mel", "linear"]:
    return "mel" if bins == audio.n_mels else "linear"


def _flow_kind(settings: Settings) -> FlowKind:
    if not settings.get("model.use_transformer_flows", False):
        return "wavenet"
    # The default in its code.
    kind = settings.get("model.transformer_flow_type", "mono_layer_post_residual")
    if kind not in get_args(FlowKind):
        raise UserError(
            f"Unknown transformer_flow_type '{kind}' in {settings.path}.",
            hint=f"Supported types: {', '.join(get_args(FlowKind))}.",
        )
    return cast(FlowKind, kind)


def _infer_flow(shape: Shapes, kind: FlowKind) -> Vits2FlowConfig:
    # Reversals and transformer couplings have indices of their own.
    stride = 3 if kind.startswith("mono_layer") else 2
    couplings = shape.count(r"flow\.flows\.(\d+)\.pre\.") // stride + 1
    hidden = shape("flow.flows.0.pre")[0]
    if kind == "fft":
        feed_forward, _, kernel_size = shape("flow.flows.0.enc.ffn_layers.0.conv_1")
        return Vits2FlowConfig(
            kind=kind,
            hidden_channels=hidden,
            couplings=couplings,
            kernel_size=kernel_size,
            feed_forward_channels=feed_forward,
        )
    return Vits2FlowConfig(
        kind=kind,
        hidden_channels=hidden,
        couplings=couplings,
        layers=shape.count(r"flow\.flows\.0\.enc\.in_layers\.(\d+)\."),
        kernel_size=shape("flow.flows.0.enc.in_layers.0")[2],
    )


def duration_discriminator_weights(tensors: Tensors) -> dict[str, Tensor]:
    """Convert tensors to the state of a `DurationDiscriminator`; its kind is inferred from them."""
    shape = Shapes(tensors, "duration discriminator")
    channels, text_channels, kernel_size = shape("conv_1")
    normed = "norm_1.gamma" in tensors
    config = DurationDiscriminatorConfig(
        kind="normed" if normed else "linear", channels=channels, kernel_size=kernel_size
    )
    with skip_init():
        model = DurationDiscriminator(config, text_channels=text_channels)
    used = {
        name: tensor for name, tensor in tensors.items() if normed or not _UNUSED_NORMS.match(name)
    }
    return convert_state_dict(used, model.state_dict(), reference_duration_discriminator_name)
