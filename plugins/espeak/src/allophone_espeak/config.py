"""The tables `[text.phonemizer]` of this plugin. Light: attrs alone."""

from __future__ import annotations

from typing import Literal

from attrs import frozen


@frozen(kw_only=True)
class EspeakConfig:
    """`type = "espeak"`: phonemes in the International Phonetic Alphabet, by eSpeak NG."""

    stress: bool = True
    """Whether the stress marks ˈ and ˌ are kept."""


@frozen(kw_only=True)
class PhonemizerConfig:
    """`type = "espeak.phonemizer"`: the backends of the package phonemizer that need more than eSpeak NG."""

    backend: Literal["segments", "festival", "espeak-mbrola"] = "segments"
    """What phonemizes: `segments` by a table of graphemes, whose language is one of phonemizer's or the
    path of such a table; `festival` for "en-us"; `espeak-mbrola` for "mb-fr1" and other voices of
    MBROLA. The last two are programs that the system has to have."""
    lowercase: bool = True
    """Whether `segments` reads capitals as small letters: the tables of phonemizer have no others."""
