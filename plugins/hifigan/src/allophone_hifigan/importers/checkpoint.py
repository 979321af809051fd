"""What the importers have in common: safe reading, a place for each tensor, the folder of a vocoder."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from attrs import field, frozen
from torch import Tensor, nn

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.run_folder import BESIDE_VOICE
from allophone.synthesis.folder import (
    About,
    StoredVocoder,
    VocoderDescription,
    write_vocoder,
)
from allophone.weights import compare, prefixed, uninitialised, write_weights
from allophone_hifigan.config import DiscriminatorsConfig, HifiganConfig
from allophone_hifigan.discriminators import Discriminators
from allophone_hifigan.generator import Generator
from allophone_hifigan.importers.names import (
    PARTS,
    discriminators_name,
    generator_name,
    renamed,
)

Tensors = Mapping[str, Tensor]


@frozen(kw_only=True)
class ReferenceCheckpoint:
    """A vocoder of the reference's architecture; its tensors have the reference's names.

    discriminators: the published ones, as "mpd...." and "msd....", or none.
    """

    name: str
    config: HifiganConfig
    audio: MelSpec
    generator: Tensors
    discriminators: Tensors = field(factory=dict)


def write_checkpoint(destination: Path, checkpoint: ReferenceCheckpoint) -> None:
    """Write the folder of a vocoder, with the discriminators beside it for fine-tuning.

    Raises UserError that names every tensor without a place, and every place without a tensor.
    """
    config, audio = checkpoint.config, checkpoint.audio
    config.check_audio(audio)
    with uninitialised():
        generator = Generator(config, mels=audio.n_mels)
    weights = _placed(checkpoint.generator, generator, lambda name: generator_name(name, config))
    about = About(name=checkpoint.name, licence="not stated")
    description = VocoderDescription(about=about, vocoder=config, audio=audio)
    beside: dict[str, Tensor] = {}
    if checkpoint.discriminators:
        with uninitialised():
            discriminators = Discriminators(DiscriminatorsConfig())
        placed = _placed(checkpoint.discriminators, discriminators, discriminators_name)
        beside = prefixed(placed, "discriminator")
    write_vocoder(destination, StoredVocoder(description=description, weights=weights))
    if beside:
        write_weights(destination / BESIDE_VOICE, beside)


def _placed(
    tensors: Tensors, module: nn.Module, reference_name: Callable[[str], str]
) -> dict[str, Tensor]:
    """Each tensor under our name."""
    wanted = {reference_name(name): tensor for name, tensor in module.state_dict().items()}
    given = {renamed(name, PARTS): tensor.float() for name, tensor in tensors.items()}
    given |= _split(given, wanted)
    given = {name: tensor for name, tensor in given.items() if not _is_folded(name, wanted)}
    comparison = compare(given, wanted)
    wrong = [
        *(f"missing: {name}" for name in comparison.missing),
        *(f"left over: {name}" for name in comparison.unexpected),
        *(
            f"{name}: {list(there)} where the model has {list(here)}"
            for name, (there, here) in comparison.misshapen.items()
        ),
    ]
    if wrong:
        raise UserError(
            f"{len(wrong)} tensors do not fit the model that the configuration describes:\n  "
            + "\n  ".join(wrong),
            hint="The file is damaged, of another configuration, or of a variant of HiFi-GAN that "
            "this importer does not know.",
        )
    return {name: given[reference_name(name)] for name in module.state_dict()}


def _is_folded(name: str, wanted: Tensors) -> bool:
    """Whether a weight has its norm multiplied out, where the model keeps it apart."""
    return name.endswith(".weight") and f"{name}_g" in wanted


def _split(given: Tensors, wanted: Tensors) -> dict[str, Tensor]:
    """Magnitudes and directions of weights that come multiplied out, as for inference."""
    parts: dict[str, Tensor] = {}
    for name, weight in given.items():
        if _is_folded(name, wanted):
            axes = tuple(range(1, weight.dim()))
            parts[f"{name}_g"] = torch.linalg.vector_norm(weight, dim=axes, keepdim=True)
            parts[f"{name}_v"] = weight
    return parts


def read_pickled(path: Path) -> dict[str, Any]:
    """What `torch.save` wrote, where it holds tensors, numbers and strings and nothing that could run."""
    try:
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


def tensors_of(state: object, where: str) -> dict[str, Tensor]:
    """The tensors of a module's state; what wrapped it on several devices is no part of their names."""
    if not isinstance(state, Mapping):
        raise UserError(f"{where} holds no weights by name.")
    return {
        name.removeprefix("module."): tensor
        for name, tensor in state.items()
        if isinstance(tensor, Tensor)
    }


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, in which comments and trailing commas are let pass; UserError where it is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    # What stands in a string is left alone, because strings are found first.
    other = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|,(?=(?:\s|//[^\n]*)*[}\]])')
    plain = other.sub(lambda found: found[0] if found[0].startswith('"') else "", text)
    try:
        content = json.loads(plain)
    except ValueError as error:
        raise UserError(f"{path} is no valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no JSON object.")
    return content


def read_quietly(path: Path | None) -> dict[str, Any]:
    """A JSON object, or an empty one where there is none to read: to recognise a format by."""
    try:
        return {} if path is None else read_json(path)
    except UserError:
        return {}


def config_of(given: Mapping[str, Any]) -> HifiganConfig:
    """The generator that the reference's names of its sizes describe; KeyError for one missing."""
    return HifiganConfig(
        channels=given["upsample_initial_channel"],
        upsample_rates=tuple(given["upsample_rates"]),
        upsample_kernel_sizes=tuple(given["upsample_kernel_sizes"]),
        residual_block="2" if str(given["resblock"]) == "2" else "1",
        residual_kernel_sizes=tuple(given["resblock_kernel_sizes"]),
        residual_dilations=tuple(map(tuple, given["resblock_dilation_sizes"])),
    )


def optional_float(value: float | None) -> float | None:
    """A frequency; None stays None."""
    return None if value is None else float(value)
