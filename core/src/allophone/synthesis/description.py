"""The description of a voice: the content of `voice.toml`, and its counterpart in exported voices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen, validators

from allophone.audio.melspec import MelSpec
from allophone.fields import pluggable
from allophone.text.config import TextConfig

FORMAT = 1
"""The format version of voice folders, incremented when older code cannot read newer folders."""

VOICE = "voice.toml"
"""The file that identifies a voice folder."""


@frozen(kw_only=True)
class About:
    """The table `[about]`.

    licence: the licence of the voice, preferably an SPDX identifier ("CC0-1.0").
    distribution, version: the package with the model's code, which must be installed to use the voice.
        `write_voice` fills in both, and the format.
    """

    name: str = field(validator=validators.min_len(1))
    licence: str = field(validator=validators.min_len(1))
    summary: str = ""
    distribution: str | None = None
    version: str | None = None
    format: int = FORMAT


@frozen(kw_only=True)
class VoiceDescription:
    """The content of `voice.toml`.

    model: the config of the table `[model]`, whose `type` names the model family; None for an exported
        voice, which is run as a graph.
    controls: the voice's defaults for controls (`noise_scale`, ...), overriding those of its family.
    """

    about: About
    model: Any = pluggable("models")
    audio: MelSpec
    text: TextConfig
    controls: Mapping[str, Any] = field(factory=dict)
