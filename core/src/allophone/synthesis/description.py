"""What a voice says of itself: `voice.toml`, and what an exported voice holds in its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen, validators

from allophone.audio.melspec import MelSpec
from allophone.entries import pluggable
from allophone.text.config import TextConfig

FORMAT = 1
"""The version of voice folders; raised when what is written can no longer be read by older code."""

VOICE = "voice.toml"
"""The file that makes a folder a voice folder."""


@frozen(kw_only=True)
class About:
    """The table `[about]`.

    licence: what one may do with the voice, best an SPDX name ("CC0-1.0").
    distribution, version: the package of the model's code, which must be installed to speak; the
        writer fills them in, and the format.
    """

    name: str = field(validator=validators.min_len(1))
    licence: str = field(validator=validators.min_len(1))
    summary: str = ""
    distribution: str | None = None
    version: str | None = None
    format: int = FORMAT


@frozen(kw_only=True)
class VoiceDescription:
    """What `voice.toml` says.

    model: the config of the table `[model]`, whose `type` names the model family; None for an exported
        voice, which has no weights to build a model with.
    controls: what this voice sets differently from its family (`noise_scale`, ...).
    """

    about: About
    model: Any = pluggable("models")
    audio: MelSpec
    text: TextConfig
    controls: Mapping[str, Any] = field(factory=dict)
