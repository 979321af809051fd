"""How an evaluation looks at speech, and the options of metrics on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from allophone.audio.melspec import MelSpec
from allophone.config.tables import parse_assignment
from allophone.errors import UserError

AUDIO = MelSpec(
    sample_rate=16000, n_fft=1024, hop_length=160, win_length=640, center=True, f_max=8000.0
)
"""The spectrograms by which speech is compared, the same for all voices whatever their own; 10 ms a frame."""


def read_options(assignments: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """The options of metrics by name, from `metric.key=value`; the value is TOML, or a word.

    Raises UserError for what is not of this form.
    """
    options: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        path, value = parse_assignment(assignment)
        metric, _, key = path.partition(".")
        if not key or "." in key:
            raise UserError(
                f"'{assignment}' does not set an option of a metric.",
                hint="Write --set metric.key=value, for example --set f0.method=pyin",
            )
        options.setdefault(metric, {})[key] = value
    return options
