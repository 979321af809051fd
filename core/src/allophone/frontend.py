"""From the `[text]` table of an experiment or a voice to the front end that it describes."""

from __future__ import annotations

import functools
from collections.abc import Callable

from attrs import evolve

from allophone.config import structure
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


def with_phonemizer(text: TextConfig, registry: Registry) -> TextConfig:
    """The table with the default phonemizer written out, where it names none."""
    if text.phonemizer is not None:
        return text
    default = structure(TextConfig, {"phonemizer": {}}, registry=registry)
    return evolve(text, phonemizer=default.phonemizer)


@functools.lru_cache(maxsize=32)
def _built(text: TextConfig, language: str, registry: Registry) -> TextFrontend:
    text = with_phonemizer(text, registry)
    name = registry.entry_of("phonemizers", text.phonemizer).name
    phonemizer = registry.load("phonemizers", name, "phonemizer")(text.phonemizer)
    normalizer = _normalizer(language, registry) if text.normalize else clean_text
    return TextFrontend(
        normalizer=normalizer,
        phonemizer=phonemizer,
        language=language,
        phones=PhoneMap(text.phones) if text.phones else None,
        edges=text.edges,
    )


def _normalizer(language: str, registry: Registry) -> Callable[[str], str]:
    """The normalizer of "en-us", else of "en"; else what serves every language."""
    for code in (language, language.split("-")[0]):
        if code in registry.entries("normalizers"):
            normalizer: Callable[[str], str] = registry.load("normalizers", code, "normalizer")()
            return normalizer
    return clean_text
