"""Vocoders of Amphion's HiFi-GAN recipe.

Older checkpoints have an entry `generator_state_dict` in `NAME.pt`. Discriminators, of which there are several
kinds, are not imported.
"""

from __future__ import annotations

from pathlib import Path

from allophone.foreign.amphion import find_weights, mel_spec, peek_arguments, read_arguments
from allophone.foreign.files import read_state_dict
from allophone_hifigan.importers.checkpoint import (
    ReferenceCheckpoint,
    config_of,
    write_checkpoint,
)


def recognises(source: Path) -> bool:
    """Whether `source` belongs to an experiment with a HiFi-GAN model."""
    return peek_arguments(source).get("model.generator") == "hifigan"


def import_checkpoint(source: Path, destination: Path) -> None:
    """Convert a checkpoint, or the latest one of an experiment, to a vocoder folder."""
    arguments = read_arguments(source)
    checkpoint = ReferenceCheckpoint(
        name=arguments.path.parent.name,
        config=config_of(arguments.table("model.hifigan")),
        audio=mel_spec(arguments),
        generator=read_state_dict(find_weights(source), "generator_state_dict", bare=True),
    )
    write_checkpoint(destination, checkpoint)
