"""What can be chosen of how a waveform is freed of its noise. Light: attrs alone."""

from __future__ import annotations

from typing import Any, Literal

from attrs import Attribute, field, frozen, validators

from allophone.errors import ConfigError


def _shares(instance: Any, attribute: Attribute[Any], value: tuple[float, ...]) -> None:
    if not all(0 < beta < 1 for beta in value):
        raise ConfigError(f"{attribute.name} must lie between 0 and 1, not {value}")


@frozen(kw_only=True)
class DiffwaveControls:
    """How a waveform is freed of its noise.

    sampler: "ddpm" goes back the way of training, with fresh noise in each step; "ddim" and "dpm", which are
        for few steps, have no noise but that at the beginning.
    steps: how often the denoiser is asked; as many as in training are those of training.
    betas: in the place of `steps`, the share of noise that each step takes away, the last step's first;
        [1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5] was published with the base model.
    seed: all noise follows from this.
    clamp: "end" brings samples into -1 to 1 when all is done; "always" does so after each step, as the
        reference implementation, although noise belongs beyond.
    precision: of the network; sums are float32 in both.
    """

    sampler: Literal["ddpm", "ddim", "dpm"] = "ddpm"
    steps: int = field(default=6, validator=validators.ge(1))
    betas: tuple[float, ...] = field(default=(), validator=_shares)
    seed: int = field(default=0, validator=validators.ge(0))
    clamp: Literal["end", "always"] = "end"
    precision: Literal["fp32", "bf16"] = "fp32"
