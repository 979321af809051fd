"""The tables `[features.<name>]` of F0 and energy. Light: imports only attrs."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen, validators

PitchMethod = Literal["yin", "pyin", "praat", "dio"]


@frozen(kw_only=True)
class F0Config:
    """Fundamental frequency.

    method: see `allophone_prosody.f0.fundamental_frequency`; all but "yin" need an extra.
    f_min, f_max: the search range in Hz.
    """

    method: PitchMethod = "yin"
    f_min: float = field(default=65.0, validator=validators.gt(0))
    f_max: float = field(default=800.0, validator=validators.gt(0))


@frozen(kw_only=True)
class EnergyConfig:
    """The energy of each frame; `[audio]` says what a frame is."""
