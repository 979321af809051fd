"""Code shared by the importers: the reference's names of weights, and writing the vocoder folder.

Both projects kept the names of the first implementation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.foreign.tensors import Rule, convert_state_dict, rename
from allophone.inference.folder import StoredVocoder, VocoderDescription, write_vocoder
from allophone.synthesis.description import About
from allophone.weights.loading import skip_init
from allophone_diffwave.config import DiffwaveConfig, NoiseConfig
from allophone_diffwave.network import Denoiser

_RULES: tuple[Rule, ...] = (
    (r"^step_embedding\.first\.", "diffusion_embedding.projection1."),
    (r"^step_embedding\.second\.", "diffusion_embedding.projection2."),
    (
        r"^upsampler\.convolutions\.(\d+)\.",
        lambda found: f"spectrogram_upsampler.conv{int(found[1]) + 1}.",
    ),
    (r"^layers\.(\d+)\.dilated\.", r"residual_layers.\1.dilated_conv."),
    (r"^layers\.(\d+)\.step\.", r"residual_layers.\1.diffusion_projection."),
    (r"^layers\.(\d+)\.conditioner\.", r"residual_layers.\1.conditioner_projection."),
    (r"^layers\.(\d+)\.output\.", r"residual_layers.\1.output_projection."),
    (r"^(input|skip|output)\.", r"\1_projection."),
)


def reference_name(name: str) -> str:
    """The reference's name of the weight `name` of `Denoiser`."""
    return rename(name, _RULES)


def write_checkpoint(
    destination: Path,
    tensors: Mapping[str, Tensor],
    *,
    name: str,
    config: DiffwaveConfig,
    audio: MelSpec,
) -> None:
    """Write a vocoder folder from tensors with the reference's names.

    Raises UserError that lists all missing and unexpected tensors.
    """
    config.check_audio(audio)
    with skip_init():
        denoiser = Denoiser(config, mels=audio.n_mels)
    weights = convert_state_dict(tensors, denoiser.state_dict(), reference_name)
    description = VocoderDescription(
        about=About(name=name, licence="not stated"), vocoder=config, audio=audio
    )
    write_vocoder(destination, StoredVocoder(description=description, weights=weights))


def noise_of(betas: Sequence[float], where: Path) -> NoiseConfig:
    """The noise schedule from its betas; UserError if they are not linearly spaced."""
    first, last, steps = betas[0], betas[-1], len(betas)
    rise = (last - first) / max(1, steps - 1)
    if not all(
        math.isclose(beta, first + rise * step, rel_tol=1e-4) for step, beta in enumerate(betas)
    ):
        raise UserError(
            f"The noise schedule in {where} is not linearly spaced from {first} to {last}; "
            "only linear schedules are supported."
        )
    return NoiseConfig(steps=steps, first=first, last=last)
