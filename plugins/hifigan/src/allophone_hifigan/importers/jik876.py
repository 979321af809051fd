"""Checkpoints of the reference implementation: `g_<step>` with `config.json`, and optionally `do_<step>`.

Its published vocoders have the same content under other names, and so have those that come with
implementations of acoustic models ("generator_v1", "generator_universal.pth.tar").
"""

from __future__ import annotations

import re
from pathlib import Path

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.foreign.files import as_state_dict, read_pickled, read_state_dict
from allophone.foreign.settings import Settings, peek_json, read_json
from allophone.weights.files import add_prefix
from allophone_hifigan.importers.checkpoint import (
    ReferenceCheckpoint,
    Tensors,
    config_of,
    write_checkpoint,
)

_OF_ITS_CONFIG = ("upsample_initial_channel", "resblock", "num_mels", "sampling_rate")


def recognises(source: Path) -> bool:
    """Whether `source` is a file with the `config.json` of a HiFi-GAN, or a folder of checkpoints."""
    config = source / "config.json" if source.is_dir() else source.with_name("config.json")
    there = any(source.glob("g_*")) if source.is_dir() else source.suffix != ".json"
    settings = peek_json(config)
    return there and all(name in settings for name in _OF_ITS_CONFIG)


def import_checkpoint(source: Path, destination: Path) -> None:
    """Convert a checkpoint, or the latest one in a folder, to a vocoder folder."""
    path = _latest(source) if source.is_dir() else source
    config = path.with_name("config.json")
    if not config.is_file():
        raise UserError(
            f"There is no config.json in the folder of {path}.",
            hint="Copy the configuration that the checkpoint was trained with to this folder.",
        )
    settings = read_json(config)
    checkpoint = ReferenceCheckpoint(
        name=source.resolve().stem,
        config=config_of(settings),
        audio=_audio(settings),
        generator=read_state_dict(path, "generator"),
        discriminators=_discriminators(path),
    )
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
    """The discriminators of the same step, if there are any."""
    path = generator.with_name(generator.name.replace("g_", "do_", 1))
    if not generator.name.startswith("g_") or not path.is_file():
        return {}
    content = read_pickled(path)
    mpd, msd = (add_prefix(as_state_dict(content.get(part), path), part) for part in ("mpd", "msd"))
    return mpd | msd


def _audio(settings: Settings) -> MelSpec:
    return MelSpec(
        sample_rate=settings["sampling_rate"],
        n_fft=settings["n_fft"],
        hop_length=settings["hop_size"],
        win_length=settings["win_size"],
        n_mels=settings["num_mels"],
        f_min=float(settings["fmin"]),
        f_max=settings.optional_float("fmax"),
        magnitude_epsilon=1e-9,
    )
