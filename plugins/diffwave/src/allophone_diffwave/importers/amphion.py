"""Vocoders of Amphion's DiffWave recipe: `args.json`, and weights as accelerate saves them."""

from __future__ import annotations

from pathlib import Path

from allophone.foreign.amphion import find_weights, mel_spec, peek_arguments, read_arguments
from allophone.foreign.files import read_state_dict
from allophone_diffwave.config import DiffwaveConfig, NoiseConfig
from allophone_diffwave.importers.checkpoint import write_checkpoint


def recognises(source: Path) -> bool:
    """Whether `source` belongs to an experiment with a DiffWave model."""
    return peek_arguments(source).get("model.generator") == "diffwave"


def import_checkpoint(source: Path, destination: Path) -> None:
    """Convert a checkpoint, or the latest one of an experiment, to a vocoder folder."""
    arguments = read_arguments(source)
    given = arguments.table("model.diffwave")
    first, last, steps = given["noise_schedule_factors"]
    write_checkpoint(
        destination,
        read_state_dict(find_weights(source), "generator_state_dict", bare=True),
        name=arguments.path.parent.name,
        config=DiffwaveConfig(
            channels=given["residual_channels"],
            layers=given["residual_layers"],
            dilation_cycle=given["dilation_cycle_length"],
            upsample_rates=tuple(given["upsample_factors"]),
            noise=NoiseConfig(steps=steps, first=first, last=last),
        ),
        audio=mel_spec(arguments),
    )
