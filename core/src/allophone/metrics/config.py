"""The tables `[runtime.metrics.<name>]` of core's own metrics. Light: attrs alone."""

from __future__ import annotations

from attrs import field, frozen, validators


@frozen(kw_only=True)
class MelDistanceConfig:
    """How far log-mel spectrograms are from the recording's.

    dynamic_range: what lies this far below the loudest of the recording counts as silence, dB.
    """

    dynamic_range: float = field(default=80.0, validator=validators.gt(0))
