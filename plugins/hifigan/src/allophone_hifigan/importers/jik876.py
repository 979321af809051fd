"""Checkpoints of the reference implementation: `g_<step>`, and `do_<step>` beside it, with `config.json`.

Its published vocoders have the same content under other names, and so have those that come with
implementations of acoustic models ("generator_v1", "generator_universal.pth.tar").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone_hifigan.importers.checkpoint import (
    ReferenceCheckpoint,
    Tensors,
    config_of,
    optional_float,
    read_json,
    read_pickled,
    read_quietly,
    tensors_of,
    write_checkpoint,
)

_OF_ITS_CONFIG = {"upsample_initial_channel", "resblock", "num_mels", "sampling_rate"}


def recognises(source: Path) -> bool:
    """Whether `source` is a file beside the configuration of a HiFi-GAN, or a folder of checkpoints."""
    config = source / "config.json" if source.is_dir() else source.with_name("config.json")
    there = any(source.glob("g_*")) if source.is_dir() else source.suffix != ".json"
    return there and read_quietly(config).keys() >= _OF_ITS_CONFIG


def import_checkpoint(source: Path, destination: Path) -> None:
    """Write the vocoder folder of a checkpoint, or of the latest one in a folder."""
    path = _latest(source) if source.is_dir() else source
    config = path.with_name("config.json")
    if not config.is_file():
        raise UserError(
            f"{path} has no config.json beside it.",
            hint="Copy there the configuration that it was trained with.",
        )
    content = read_pickled(path)
    if "generator" not in content:
        raise UserError(f"{path} has no entry 'generator', so it is no vocoder of HiFi-GAN.")
    settings = read_json(config)
    try:
        checkpoint = ReferenceCheckpoint(
            name=source.resolve().stem,
            config=config_of(settings),
            audio=_audio(settings),
            generator=tensors_of(content["generator"], str(path)),
            discriminators=_discriminators(path),
        )
    except KeyError as error:
        raise UserError(f"{config}: there is no {error}.") from error
    write_checkpoint(destination, checkpoint)


def _latest(folder: Path) -> Path:
    found = {
        int(match[1]): path
        for path in folder.iterdir()
        if (match := re.fullmatch(r"g_(\d+)", path.name))
    }
    if not found:
        raise UserError(f"There is no g_<step> in {folder}.")
    return found[max(found)]


def _discriminators(generator: Path) -> Tensors:
    """Those of the same step, where they are there."""
    path = generator.with_name(generator.name.replace("g_", "do_", 1))
    if not generator.name.startswith("g_") or not path.is_file():
        return {}
    content = read_pickled(path)
    return {
        f"{part}.{name}": tensor
        for part in ("mpd", "msd")
        for name, tensor in tensors_of(content.get(part), str(path)).items()
    }


def _audio(settings: Mapping[str, Any]) -> MelSpec:
    return MelSpec(
        sample_rate=settings["sampling_rate"],
        n_fft=settings["n_fft"],
        hop_length=settings["hop_size"],
        win_length=settings["win_size"],
        n_mels=settings["num_mels"],
        f_min=float(settings["fmin"]),
        f_max=optional_float(settings["fmax"]),
        magnitude_epsilon=1e-9,
    )
