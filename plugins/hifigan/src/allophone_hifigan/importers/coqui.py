"""HiFi-GANs of Coqui: `NAME.pth`, with `config.json` in the same folder.

Its mels are librosa's, in decibels or natural logarithms, and often scaled to a range, all of which a
`MelSpec` can say. Mels that are normalised by the statistics of a corpus have no such description.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from attrs import evolve

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.foreign.files import read_state_dict
from allophone.foreign.settings import Settings, peek_json, read_json
from allophone.weights.files import strip_prefix
from allophone_hifigan.config import HifiganConfig
from allophone_hifigan.importers.checkpoint import (
    ReferenceCheckpoint,
    config_of,
    write_checkpoint,
)

_GENERATOR, _DISCRIMINATORS = "model_g", "model_d"


def recognises(source: Path) -> bool:
    """Whether `source` is a checkpoint with the `config.json` of a HiFi-GAN in the same folder."""
    config = peek_json(source.parent / "config.json")
    return source.suffix == ".pth" and config.get("generator_model") == "hifigan_generator"


def import_checkpoint(source: Path, destination: Path) -> None:
    """Convert a checkpoint to a vocoder folder."""
    path = source.parent / "config.json"
    if not path.is_file():
        raise UserError(
            f"There is no config.json in the folder of {source}.",
            hint="Copy the configuration that the checkpoint was trained with to this folder.",
        )
    settings = read_json(path)
    config, audio = (
        _config(settings.table("generator_model_params")),
        _audio(settings.table("audio")),
    )
    tensors = read_state_dict(source, "model")
    checkpoint = ReferenceCheckpoint(
        name=source.resolve().parent.name,
        config=config,
        audio=audio,
        generator=strip_prefix(tensors, _GENERATOR) or tensors,
        discriminators=strip_prefix(tensors, _DISCRIMINATORS),
    )
    write_checkpoint(destination, checkpoint)


def _config(parameters: Settings) -> HifiganConfig:
    theirs = {
        "upsample_rates": parameters["upsample_factors"],
        "resblock": parameters["resblock_type"],
    }
    return config_of(evolve(parameters, content={**parameters.content, **theirs}))


def _audio(settings: Settings) -> MelSpec:
    normalised = settings.get("signal_norm", True)
    if normalised and settings.get("stats_path"):
        raise UserError(
            f"{settings.path}: the vocoder needs mels normalized per band by the statistics in "
            f"{settings['stats_path']}, which is not supported."
        )
    if settings.get("preemphasis"):
        raise UserError(
            f"{settings.path}: the vocoder takes mels of recordings with pre-emphasis, which has no "
            "counterpart here."
        )
    log_base = _log_base(settings)
    gain = 1.0 if log_base == "none" else float(settings.get("spec_gain", 20))
    offset = 0.0
    low = high = None
    if normalised:
        offset -= settings.get("ref_level_db", 20)
        # From [min_level_db, 0] to [0, max_norm], or to [-max_norm, max_norm].
        floor = float(settings.get("min_level_db", -100))
        limit = float(settings.get("max_norm", 4))
        symmetric = settings.get("symmetric_norm", True)
        span = 2 * limit if symmetric else limit
        start = -limit if symmetric else 0.0
        offset = (offset - floor) / -floor * span + start
        gain = gain / -floor * span
        if settings.get("clip_norm", True):
            low, high = start, limit
    return MelSpec(
        sample_rate=settings["sample_rate"],
        n_fft=settings["fft_size"],
        hop_length=settings["hop_length"],
        win_length=settings["win_length"],
        n_mels=settings["num_mels"],
        center=True,
        padding="reflect" if settings.get("stft_pad_mode", "reflect") == "reflect" else "zeros",
        magnitude_epsilon=0.0,
        f_min=float(settings["mel_fmin"]),
        f_max=settings.optional_float("mel_fmax"),
        log_base=log_base,
        log_floor=1e-8,
        log_gain=gain,
        log_offset=offset,
        clip_low=low,
        clip_high=high,
    )


def _log_base(settings: Settings) -> Literal["e", "10", "none"]:
    if not settings.get("do_amp_to_db_mel", True):
        return "none"
    return "e" if settings.get("log_func", "np.log10") == "np.log" else "10"
