"""The `[text]` table of an experiment, and the config class of the core's own phonemizer.

This module is light: it imports attrs and `allophone.entries` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen, validators

from allophone.entries import pluggable

_keys_not_empty: Any = validators.deep_mapping(
    key_validator=validators.min_len(1), value_validator=validators.instance_of(str)
)


@frozen(kw_only=True)
class GraphemeConfig:
    """The characters of the text themselves, for models that learn to read."""

    lowercase: bool = True
    """Whether capital letters become small ones."""


@frozen(kw_only=True)
class TextConfig:
    """How text becomes the symbols of a model."""

    language: str = "en-us"
    """The language of utterances that do not name theirs: a code that the phonemizer knows."""
    normalize: bool = True
    """Whether numbers, dates and abbreviations are written out, where the language has a way to."""
    phonemizer: object = pluggable("phonemizers", default=GraphemeConfig)
    """What turns normalised text into symbols."""
    phones: Mapping[str, str] = field(factory=dict, hash=False, validator=_keys_not_empty)
    """The phones of a corpus that stretches of those symbols stand for, the longest first: see
    `allophone.text.phones`. Without a table the symbols are what the phonemizer writes."""
    edges: str | None = None
    """A symbol that every utterance begins and ends with, put where it does not do so already: the
    silence at the edges of labelled recordings."""
    blank: bool = True
    """Whether a blank stands around every symbol, as VITS wants it."""
    boundaries: bool = False
    """Whether an utterance begins and ends with symbols of its own, as Piper wants it."""
