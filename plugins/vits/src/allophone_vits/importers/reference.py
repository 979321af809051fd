"""Convert tensors under the reference's names to a configuration and weights.

Each importer first brings its tensors to the reference's names. This module infers the sizes from their
shapes and checks that tensors and parameters match one to one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.foreign.tensors import Shapes, convert_state_dict
from allophone.weights.loading import skip_init
from allophone_hifigan.config import HifiganConfig
from allophone_vits.config import (
    DiscriminatorConfig,
    DurationConfig,
    FlowConfig,
    PosteriorEncoderConfig,
    TextEncoderConfig,
    VitsConfig,
)
from allophone_vits.discriminator import Discriminator
from allophone_vits.importers.names import reference_discriminator_name, reference_generator_name
from allophone_vits.model import TRAINING_ONLY, Vits

Tensors = Mapping[str, Tensor]

EMBEDDING = "enc_p.emb.weight"
"""The reference's name for the symbol embedding."""


def infer_config(
    tensors: Tensors,
    *,
    upsample_rates: Sequence[int],
    residual_dilations: Sequence[Sequence[int]],
) -> VitsConfig:
    """Infer the configuration from the shapes of `tensors`; the decoder's rates and dilations are given."""
    shape = Shapes(tensors, "VITS")
    flow_layer = shape("flow.flows.0.enc.in_layers.0")
    return VitsConfig(
        latent_channels=shape("enc_p.proj")[0] // 2,
        speaker_channels=(
            shape("emb_g")[1] if "emb_g.weight" in tensors else VitsConfig().speaker_channels
        ),
        text_encoder=infer_text_encoder(shape),
        posterior_encoder=(
            infer_posterior_encoder(shape)
            if "enc_q.pre.weight" in tensors
            else PosteriorEncoderConfig(hidden_channels=flow_layer[1])
        ),
        flow=FlowConfig(
            hidden_channels=flow_layer[1],
            couplings=shape.count(r"flow\.flows\.(\d+)\.pre\.") // 2 + 1,
            layers=shape.count(r"flow\.flows\.0\.enc\.in_layers\.(\d+)\."),
            kernel_size=flow_layer[2],
        ),
        duration=infer_durations(shape),
        decoder=infer_decoder(shape, upsample_rates, residual_dilations),
    )


def infer_text_encoder(shape: Shapes) -> TextEncoderConfig:
    """Infer the text encoder's configuration."""
    hidden, key_size = shape("enc_p.emb")[1], shape("enc_p.encoder.attn_layers.0.emb_rel_k")[2]
    feed_forward = shape("enc_p.encoder.ffn_layers.0.conv_1")
    return TextEncoderConfig(
        hidden_channels=hidden,
        feed_forward_channels=feed_forward[0],
        heads=hidden // key_size,
        layers=shape.count(r"enc_p\.encoder\.attn_layers\.(\d+)\."),
        kernel_size=feed_forward[2],
        window=shape("enc_p.encoder.attn_layers.0.emb_rel_k")[1] // 2,
    )


def infer_posterior_encoder(shape: Shapes) -> PosteriorEncoderConfig:
    """Infer the posterior encoder's configuration."""
    return PosteriorEncoderConfig(
        hidden_channels=shape("enc_q.pre")[0],
        layers=shape.count(r"enc_q\.enc\.in_layers\.(\d+)\."),
        kernel_size=shape("enc_q.enc.in_layers.0")[2],
    )


def infer_durations(shape: Shapes) -> DurationConfig:
    """Infer the duration predictor's configuration."""
    if "dp.conv_1.weight" in shape.tensors:
        channels, _, kernel_size = shape("dp.conv_1")
        return DurationConfig(kind="deterministic", channels=channels, kernel_size=kernel_size)
    return DurationConfig(
        kind="stochastic",
        channels=shape("dp.pre")[0],
        kernel_size=shape("dp.convs.convs_sep.0")[2],
        couplings=shape.count(r"dp\.flows\.(\d+)\.pre\.") // 2,
    )


def infer_decoder(
    shape: Shapes, upsample_rates: Sequence[int], residual_dilations: Sequence[Sequence[int]]
) -> HifiganConfig:
    """Infer the decoder's configuration; shapes do not determine its rates and dilations."""
    stages = shape.count(r"dec\.ups\.(\d+)\.")
    blocks = shape.count(r"dec\.resblocks\.(\d+)\.") // stages
    paired = any(name.startswith("dec.resblocks.0.convs1.") for name in shape.tensors)
    convolutions = "convs1" if paired else "convs"
    return HifiganConfig(
        residual_block="1" if paired else "2",
        residual_kernel_sizes=tuple(
            shape(f"dec.resblocks.{block}.{convolutions}.0")[2] for block in range(blocks)
        ),
        residual_dilations=tuple(tuple(dilations) for dilations in residual_dilations),
        upsample_rates=tuple(upsample_rates),
        upsample_kernel_sizes=tuple(shape(f"dec.ups.{stage}")[2] for stage in range(stages)),
        channels=shape("dec.conv_pre")[0],
    )


def trim_vocabulary(tensors: Tensors, size: int) -> dict[str, Tensor]:
    """Drop rows of the embedding beyond `size`: models are often built with spare rows."""
    return {**tensors, EMBEDDING: tensors[EMBEDDING][:size]}


def generator_weights(
    tensors: Tensors,
    config: VitsConfig,
    *,
    vocabulary_size: int,
    speakers: int,
    audio: MelSpec,
    inference_only: bool,
) -> dict[str, Tensor]:
    """Convert tensors to the state of `Vits(config, ...)`, without `TRAINING_ONLY` if `inference_only`.

    Raises UserError naming every tensor that is missing, unexpected or of the wrong shape.
    """
    with skip_init():
        model = Vits(config, vocabulary_size=vocabulary_size, speakers=speakers, audio=audio)
    expected = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not (inference_only and TRAINING_ONLY.match(name))
    }
    paired = config.decoder.residual_block == "1"
    blocks = len(config.decoder.residual_kernel_sizes)
    return convert_state_dict(
        tensors,
        expected,
        lambda name: reference_generator_name(name, blocks=blocks, paired=paired),
    )


def discriminator_weights(tensors: Tensors, config: DiscriminatorConfig) -> dict[str, Tensor]:
    """Convert tensors to the state of `Discriminator(config)`; errors as in `generator_weights`."""
    with skip_init():
        model = Discriminator(config)
    return convert_state_dict(tensors, model.state_dict(), reference_discriminator_name)
