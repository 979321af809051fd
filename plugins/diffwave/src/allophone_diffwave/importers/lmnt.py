"""Checkpoints of the package `diffwave`: `weights.pt`, or any file that it saved."""

from __future__ import annotations

from pathlib import Path

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.foreign.files import as_state_dict, read_pickled
from allophone.foreign.settings import Settings
from allophone_diffwave.config import DiffwaveConfig
from allophone_diffwave.importers.checkpoint import noise_of, write_checkpoint

_OF_ITS_PARAMETERS = ("noise_schedule", "residual_channels", "dilation_cycle_length")


def recognises(source: Path) -> bool:
    """Whether `source` is a file with the parameters of a DiffWave, or a folder with such a file."""
    path = _file(source)
    if path.suffix != ".pt" or not path.is_file():
        return False
    try:
        parameters = Settings(path=path, content=read_pickled(path)).get("params")
    except UserError:
        return False
    return isinstance(parameters, dict) and all(name in parameters for name in _OF_ITS_PARAMETERS)


def import_checkpoint(source: Path, destination: Path) -> None:
    """Convert a checkpoint, or the latest one in a folder, to a vocoder folder."""
    path = _file(source)
    content = read_pickled(path)
    parameters = Settings(path=path, content=content).table("params")
    write_checkpoint(
        destination,
        as_state_dict(content.get("model"), path),
        name=source.resolve().stem,
        config=DiffwaveConfig(
            channels=parameters["residual_channels"],
            layers=parameters["residual_layers"],
            dilation_cycle=parameters["dilation_cycle_length"],
            noise=noise_of(parameters["noise_schedule"], path),
        ),
        audio=mels_of(
            sample_rate=parameters["sample_rate"],
            n_fft=parameters["n_fft"],
            hop_length=parameters["hop_samples"],
            n_mels=parameters["n_mels"],
        ),
    )


def mels_of(
    *, sample_rate: int = 22050, n_fft: int = 1024, hop_length: int = 256, n_mels: int = 80
) -> MelSpec:
    """The mels of the package: decibels relative to 20 dB, scaled from -100 to 0 into 0 to 1."""
    return MelSpec(
        sample_rate=sample_rate,
        n_fft=n_fft,
        hop_length=hop_length,
        win_length=4 * hop_length,
        center=True,
        normalize_window=True,
        magnitude_epsilon=0.0,
        n_mels=n_mels,
        f_min=20.0,
        mel_scale="htk",
        mel_norm="none",
        log_base="10",
        log_gain=0.2,
        log_offset=0.8,
        clip_low=0.0,
        clip_high=1.0,
    )


def _file(source: Path) -> Path:
    return source / "weights.pt" if source.is_dir() else source
