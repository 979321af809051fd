"""What importers of training checkpoints have in common: safe reading, and writing a voice folder."""

from __future__ import annotations

import json
import pathlib
import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from attrs import Factory, frozen
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.run_folder import BESIDE_VOICE
from allophone.synthesis.folder import About, StoredVoice, VoiceDescription, write_voice
from allophone.text.config import TextConfig
from allophone.weights import prefixed, write_weights
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
    """A model of the reference's architecture: its tensors, and what they do not tell.

    generator, discriminator: under the reference's names; discriminator may be None.
    inference_only: whether what only training uses was left out of the generator.
    controls: what to set otherwise than by default when speaking.
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


def voice_of(checkpoint: ReferenceCheckpoint, about: About) -> StoredVoice:
    """The voice that speaks from a checkpoint; UserError where its tensors do not fit together."""
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
    """Write a voice folder, with the discriminator's weights beside the voice's for fine-tuning."""
    write_voice(destination, voice_of(checkpoint, About(name=name, licence="not stated")))
    if checkpoint.discriminator is not None:
        weights = discriminator_weights(checkpoint.discriminator, DiscriminatorConfig())
        write_weights(destination / BESIDE_VOICE, prefixed(weights, "discriminator"))


def read_pickled(path: Path) -> dict[str, Any]:
    """What `torch.save` wrote: tensors, numbers, strings and paths, and nothing that could run.

    Raises UserError for a file that holds anything else, or is damaged.
    """
    paths: list[Any] = [pathlib.PosixPath, (pathlib.PosixPath, "pathlib._local.PosixPath")]
    try:
        with torch.serialization.safe_globals(paths):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than weights, and is not opened for safety: {error}",
            hint="If you trust it, open it in its own project and save its weights alone.",
        ) from error
    except (OSError, RuntimeError, EOFError) as error:
        raise UserError(f"{path} is no whole PyTorch file: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no weights by name.")
    return content


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; trailing commas, as JSON5 has them, are let pass. UserError where it is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    strings_or_commas = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])')
    plain = strings_or_commas.sub(lambda found: "" if found[0] == "," else found[0], text)
    try:
        content = json.loads(plain)
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no JSON object.")
    return content


def tensors_below(state: Mapping[str, Any], prefix: str) -> dict[str, Tensor]:
    """The tensors of a state whose names begin with `prefix`, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if name.startswith(prefix) and isinstance(tensor, Tensor)
    }
