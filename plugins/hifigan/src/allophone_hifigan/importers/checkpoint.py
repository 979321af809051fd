"""Code shared by the importers: the checkpoint record, and writing the vocoder folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.files.run_folder import TRAINING_WEIGHTS
from allophone.foreign.settings import Settings
from allophone.foreign.tensors import convert_state_dict
from allophone.inference.folder import StoredVocoder, VocoderDescription, write_vocoder
from allophone.synthesis.description import About
from allophone.weights.files import add_prefix, write_weights
from allophone.weights.loading import skip_init
from allophone_hifigan.config import DiscriminatorsConfig, HifiganConfig
from allophone_hifigan.discriminators import Discriminators
from allophone_hifigan.generator import Generator
from allophone_hifigan.importers.names import discriminators_name, generator_name

Tensors = Mapping[str, Tensor]


@frozen(kw_only=True)
class ReferenceCheckpoint:
    """A vocoder with the reference's architecture and names of tensors.

    discriminators: the published ones, as "mpd...." and "msd....", or empty.
    """

    name: str
    config: HifiganConfig
    audio: MelSpec
    generator: Tensors
    discriminators: Tensors = field(factory=dict)


def write_checkpoint(destination: Path, checkpoint: ReferenceCheckpoint) -> None:
    """Write the folder of a vocoder, with the discriminators beside it for fine-tuning.

    Raises UserError that lists missing tensors, unexpected tensors and wrong shapes.
    """
    config, audio = checkpoint.config, checkpoint.audio
    config.check_audio(audio)
    with skip_init():
        generator = Generator(config, mels=audio.n_mels)
    weights = convert_state_dict(
        checkpoint.generator, generator.state_dict(), lambda name: generator_name(name, config)
    )
    about = About(name=checkpoint.name, licence="not stated")
    description = VocoderDescription(about=about, vocoder=config, audio=audio)
    beside: dict[str, Tensor] = {}
    if checkpoint.discriminators:
        with skip_init():
            discriminators = Discriminators(DiscriminatorsConfig())
        placed = convert_state_dict(
            checkpoint.discriminators, discriminators.state_dict(), discriminators_name
        )
        beside = add_prefix(placed, "discriminator")
    write_vocoder(destination, StoredVocoder(description=description, weights=weights))
    if beside:
        write_weights(destination / TRAINING_WEIGHTS, beside)


def config_of(given: Settings) -> HifiganConfig:
    """The config of a generator from the reference's hyperparameters."""
    return HifiganConfig(
        channels=given["upsample_initial_channel"],
        upsample_rates=tuple(given["upsample_rates"]),
        upsample_kernel_sizes=tuple(given["upsample_kernel_sizes"]),
        residual_block="2" if str(given["resblock"]) == "2" else "1",
        residual_kernel_sizes=tuple(given["resblock_kernel_sizes"]),
        residual_dilations=tuple(map(tuple, given["resblock_dilation_sizes"])),
    )
