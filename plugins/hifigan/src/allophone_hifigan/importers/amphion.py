"""Vocoders of Amphion's HiFi-GAN recipe.

Older ones have an entry `generator_state_dict` in `NAME.pt`. Its discriminators are of several kinds and
are not read.
"""

from __future__ import annotations

from pathlib import Path

from allophone.foreign.amphion import audio_of, find_weights, peek_arguments, read_arguments
from allophone.foreign.files import read_module
from allophone_hifigan.importers.checkpoint import (
    ReferenceCheckpoint,
    config_of,
    write_checkpoint,
)


def recognises(source: Path) -> bool:
    """Whether `source` belongs to an experiment that trained a HiFi-GAN."""
    return peek_arguments(source).get("model.generator") == "hifigan"


def import_checkpoint(source: Path, destination: Path) -> None:
    """Write the vocoder folder of a checkpoint, or of the latest one of an experiment."""
    arguments = read_arguments(source)
    checkpoint = ReferenceCheckpoint(
        name=arguments.path.parent.name,
        config=config_of(arguments.table("model.hifigan")),
        audio=audio_of(arguments),
        generator=read_module(find_weights(source), "generator_state_dict", bare=True),
    )
    write_checkpoint(destination, checkpoint)
