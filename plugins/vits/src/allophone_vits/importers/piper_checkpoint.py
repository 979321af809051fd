"""Importer of Piper's training checkpoints: Lightning's `.ckpt` and the voice's `config.json`."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from allophone.errors import UserError
from allophone.foreign.files import as_state_dict, read_pickled
from allophone.weights.files import strip_prefix
from allophone_onnx.settings import read_settings
from allophone_vits.config import SIZES
from allophone_vits.importers.checkpoint import ReferenceCheckpoint, write_checkpoint


def recognises(source: Path) -> bool:
    """Whether `source` looks like a Piper checkpoint."""
    return source.suffix == ".ckpt" and _settings_of(source) is not None


def import_checkpoint(source: Path, destination: Path) -> None:
    """Convert a checkpoint to a voice folder."""
    path = _settings_of(source)
    if path is None:
        raise UserError(
            f"No config.json found for {source}.",
            hint="Copy the config.json that Piper's preprocessing wrote to the checkpoint's folder.",
        )
    settings = read_settings(path)
    content = read_pickled(source)
    state = as_state_dict(content.get("state_dict"), source)
    parameters = content.get("hyper_parameters", {})
    generator = strip_prefix(state, "model_g")
    if not generator:
        raise UserError(
            f"{source} does not contain a generator: no tensor name starts with 'model_g.'."
        )
    decoder = SIZES["medium"].decoder
    upsample_rates = _tuple(parameters, "upsample_rates", decoder.upsample_rates)
    checkpoint = ReferenceCheckpoint(
        generator=generator,
        discriminator=strip_prefix(state, "model_d") or None,
        upsample_rates=upsample_rates,
        residual_dilations=_tuple(
            parameters, "resblock_dilation_sizes", decoder.residual_dilations
        ),
        audio=settings.audio(hop_length=parameters.get("hop_length", decoder.hop_length)),
        text=settings.text,
        vocabulary=settings.vocabulary,
        controls=settings.controls,
    )
    write_checkpoint(destination, checkpoint, name=source.stem)


def _tuple(parameters: Mapping[str, Any], name: str, default: Any) -> Any:
    """Read a hyperparameter, which may be stored as a string from the command line."""
    value = parameters.get(name, default)
    return ast.literal_eval(value) if isinstance(value, str) else value


def _settings_of(source: Path) -> Path | None:
    """Find the settings next to the checkpoint or in one of four parent folders.

    Checkpoints are in <run>/lightning_logs/version_0/checkpoints, config.json is in <run>.
    """
    candidates = [source.with_name(f"{source.name}.json")]
    candidates += [folder / "config.json" for folder in source.resolve().parents[:4]]
    return next((path for path in candidates if path.is_file()), None)
