"""The controls of sampling. Light: imports only attrs."""

from __future__ import annotations

from typing import Any, Literal

from attrs import Attribute, field, frozen, validators

from allophone.errors import ConfigError


def _shares(instance: Any, attribute: Attribute[Any], value: tuple[float, ...]) -> None:
    if not all(0 < beta < 1 for beta in value):
        raise ConfigError(f"every value of {attribute.name} must be between 0 and 1, not {value}")


@frozen(kw_only=True)
class DiffwaveControls:
    """How noise is denoised into a waveform.

    sampler: "ddpm" samples with fresh noise in each step; "ddim" and "dpm", meant for few steps, are
        deterministic after the initial noise.
    steps: number of network evaluations; the number of training steps gives the training schedule.
    betas: a noise schedule instead of `steps`, beginning with the last step of sampling;
        [1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5] was published with the base model.
    seed: of all noise.
    clamp: "end" clamps samples to -1 to 1 after the last step; "always" does so after each step, as in the
        reference implementation, which also clips noise that should exceed this range.
    precision: of the network; sums are float32 in both cases.
    """

    sampler: Literal["ddpm", "ddim", "dpm"] = "ddpm"
    steps: int = field(default=6, validator=validators.ge(1))
    betas: tuple[float, ...] = field(default=(), validator=_shares)
    seed: int = field(default=0, validator=validators.ge(0))
    clamp: Literal["end", "always"] = "end"
    precision: Literal["fp32", "bf16"] = "fp32"
