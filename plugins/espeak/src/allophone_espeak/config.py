"""The tables `[text.phonemizer]` of this plugin. Light: imports only attrs."""

from __future__ import annotations

from typing import Literal

from attrs import frozen


@frozen(kw_only=True)
class EspeakConfig:
    """`type = "espeak"`: IPA phonemes from eSpeak NG."""

    stress: bool = True
    """Whether the stress marks ˈ and ˌ are kept."""


@frozen(kw_only=True)
class PhonemizerConfig:
    """`type = "espeak.phonemizer"`: the other backends of the package phonemizer."""

    backend: Literal["segments", "festival", "espeak-mbrola"] = "segments"
    """The backend: `segments` uses a table of graphemes, and its language is one of phonemizer's tables or the
    path of a table; `festival` for "en-us"; `espeak-mbrola` for MBROLA voices such as "mb-fr1".
    The last two need programs to be installed on the system."""
    lowercase: bool = True
    """Whether to lowercase texts for `segments`; phonemizer's tables have only lowercase letters."""
