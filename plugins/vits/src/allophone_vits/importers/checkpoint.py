"""Shared by the importers: the checkpoint they read and the voice they write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import Factory, frozen

from allophone.audio.melspec import MelSpec
from allophone.data.vocabulary import Vocabulary
from allophone.files.run_folder import TRAINING_WEIGHTS
from allophone.inference.folder import StoredVoice, write_voice
from allophone.synthesis.description import About, VoiceDescription
from allophone.text.config import TextConfig
from allophone.weights.files import add_prefix, write_weights
from allophone_vits.config import DiscriminatorConfig
from allophone_vits.importers.reference import (
    Tensors,
    discriminator_weights,
    generator_weights,
    infer_config,
    trim_vocabulary,
)


@frozen(kw_only=True)
class ReferenceCheckpoint:
    """A checkpoint of the reference architecture, and settings that its tensors do not determine.

    generator, discriminator: tensors under the reference's names; discriminator may be None.
    inference_only: whether the generator lacks the weights that only training uses.
    controls: defaults of the voice's controls.
    """

    generator: Tensors
    discriminator: Tensors | None = None
    inference_only: bool = False
    upsample_rates: Sequence[int]
    residual_dilations: Sequence[Sequence[int]]
    audio: MelSpec
    text: TextConfig
    vocabulary: Vocabulary
    controls: Mapping[str, float] = Factory(dict)


def build_voice(checkpoint: ReferenceCheckpoint, about: About) -> StoredVoice:
    """Build the voice of a checkpoint; UserError if its tensors do not match the inferred model."""
    config = infer_config(
        checkpoint.generator,
        upsample_rates=checkpoint.upsample_rates,
        residual_dilations=checkpoint.residual_dilations,
    )
    symbols, speakers = checkpoint.vocabulary.symbols, len(checkpoint.vocabulary.speakers)
    weights = generator_weights(
        trim_vocabulary(checkpoint.generator, symbols.size),
        config,
        vocabulary_size=symbols.size,
        speakers=speakers,
        audio=checkpoint.audio,
        inference_only=checkpoint.inference_only,
    )
    return StoredVoice(
        description=VoiceDescription(
            about=about,
            model=config,
            audio=checkpoint.audio,
            text=checkpoint.text,
            controls=checkpoint.controls,
        ),
        vocabulary=checkpoint.vocabulary,
        weights=weights,
    )


def write_checkpoint(destination: Path, checkpoint: ReferenceCheckpoint, *, name: str) -> None:
    """Write a voice folder, with the discriminator's weights in a separate file for fine-tuning."""
    write_voice(destination, build_voice(checkpoint, About(name=name, licence="not stated")))
    if checkpoint.discriminator is not None:
        weights = discriminator_weights(checkpoint.discriminator, DiscriminatorConfig())
        write_weights(destination / TRAINING_WEIGHTS, add_prefix(weights, "discriminator"))
