"""The `[text]` table of an experiment, and the config class of the phonemizer `graphemes`.

This module is light: it imports only attrs and `allophone.entries`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen, validators

from allophone.fields import pluggable

_keys_not_empty: Any = validators.deep_mapping(
    key_validator=validators.min_len(1), value_validator=validators.instance_of(str)
)


@frozen(kw_only=True)
class GraphemeConfig:
    """Uses the characters of the text as symbols, for models that learn pronunciation from spelling."""

    lowercase: bool = True
    """Whether to lowercase the text."""


@frozen(kw_only=True)
class TextConfig:
    """How text is converted to the symbols of a model."""

    language: str = "en-us"
    """The default language of utterances that do not name one: a code that the phonemizer knows."""
    normalize: bool = True
    """Whether to write out numbers, dates and abbreviations, if the language has a normalizer."""
    phonemizer: object = pluggable("phonemizers", default=GraphemeConfig)
    """Converts normalized text to symbols."""
    phones: Mapping[str, str] = field(factory=dict, hash=False, validator=_keys_not_empty)
    """Maps sequences of the phonemizer's symbols to the phones of a corpus; the longest match wins (see
    `allophone.text.phones`). If empty, the phonemizer's symbols are used as they are."""
    edges: str | None = None
    """A symbol that is added at the start and end of an utterance if it is not already there, such as the
    silence at the edges of labelled recordings."""
    blank: bool = True
    """Whether to insert a blank before, between and after the symbols, as in VITS."""
    boundaries: bool = False
    """Whether to add begin- and end-of-utterance symbols, as in Piper."""
