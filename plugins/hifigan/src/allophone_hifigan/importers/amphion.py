"""Vocoders of Amphion's HiFi-GAN recipe.

Older ones have an entry `generator_state_dict` in `NAME.pt`. Its discriminators are of several kinds and
are not read.
"""

from __future__ import annotations

from pathlib import Path

from allophone.foreign.experiments import audio_of, find_arguments, find_weights, read_arguments
from allophone.foreign.files import peek_json, read_module
from allophone_hifigan.importers.checkpoint import (
    ReferenceCheckpoint,
    config_of,
    write_checkpoint,
)


def recognises(source: Path) -> bool:
    """Whether `source` belongs to an experiment that trained a HiFi-GAN."""
    return peek_json(find_arguments(source)).get("model.generator") == "hifigan"


def import_checkpoint(source: Path, destination: Path) -> None:
    """Write the vocoder folder of a checkpoint, or of the latest one of an experiment."""
    arguments = read_arguments(source)
    checkpoint = ReferenceCheckpoint(
        name=arguments.path.resolve().parent.name,
        config=config_of(arguments.table("model.hifigan")),
        audio=audio_of(arguments.table("preprocess")),
        generator=read_module(find_weights(source), "generator_state_dict", bare=True),
    )
    write_checkpoint(destination, checkpoint)
