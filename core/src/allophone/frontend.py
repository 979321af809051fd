"""From the `[text]` table of an experiment or a voice to the front end that it describes."""

from __future__ import annotations

import functools

from allophone.entries import NormalizerEntry
from allophone.registry import Registry, default_registry
from allophone.text.config import TextConfig
from allophone.text.frontend import TextFrontend
from allophone.text.normalization import clean_text
from allophone.text.phones import PhoneMap


def build_frontend(
    text: TextConfig, language: str | None = None, registry: Registry | None = None
) -> TextFrontend:
    """The front end of a language; None is the table's own.

    The same arguments give the same front end, whose phonemizer keeps what it has loaded.
    PluginError where the phonemizer is not installed.
    """
    return _built(text, language or text.language, registry or default_registry())


def find_normalizer(text: TextConfig, language: str, registry: Registry) -> NormalizerEntry | None:
    """The normalizer of "en-us", else of "en"; None where `clean_text` serves.

    It serves a language that no installed plugin has a normalizer for, and tables that want none.
    """
    if text.normalize:
        normalizers = registry.entries("normalizers")
        for code in (language, language.split("-")[0]):
            if code in normalizers:
                entry: NormalizerEntry = normalizers[code]
                return entry
    return None


@functools.lru_cache(maxsize=32)
def _built(text: TextConfig, language: str, registry: Registry) -> TextFrontend:
    name = registry.entry_of("phonemizers", text.phonemizer).name
    phonemizer = registry.load("phonemizers", name, "phonemizer")(text.phonemizer)
    normalizer = find_normalizer(text, language, registry)
    return TextFrontend(
        normalizer=registry.load("normalizers", normalizer.name, "normalizer")()
        if normalizer
        else clean_text,
        phonemizer=phonemizer,
        language=language,
        phones=PhoneMap(text.phones) if text.phones else None,
        edges=text.edges,
    )
