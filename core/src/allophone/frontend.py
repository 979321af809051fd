"""From the `[text]` table of an experiment or a voice to the front end that it describes."""

from __future__ import annotations

import functools
import logging

from allophone.entries import NormalizerEntry
from allophone.registry import Registry, default_registry
from allophone.text.config import TextConfig
from allophone.text.frontend import TextFrontend
from allophone.text.normalization import clean_text
from allophone.text.phonemizers import Phonemizer
from allophone.text.phones import PhoneMap

_log = logging.getLogger(__name__)


def build_frontend(
    text: TextConfig, language: str | None = None, registry: Registry | None = None
) -> TextFrontend:
    """The front end of a language; None is the table's own.

    The same arguments give the same front end, whose phonemizer keeps what it has loaded.
    PluginError where the phonemizer is not installed, UserError where it lacks the language.
    """
    return _built(text, language or text.language, registry or default_registry())


def resolve_language(text: TextConfig, language: str, registry: Registry) -> str:
    """The phonemizer's code of a language: "en-us" for "en_US", where it is eSpeak NG.

    A code that is not merely spelled otherwise is logged, once. UserError where the phonemizer knows that it
    lacks the language.
    """
    return _resolved(text.phonemizer, language, registry)


def find_normalizer(text: TextConfig, language: str, registry: Registry) -> NormalizerEntry | None:
    """The normalizer of "en-us", else of "en"; None where `clean_text` serves.

    It serves a language that no installed plugin has a normalizer for, and tables that want none.
    """
    if text.normalize:
        normalizers = registry.entries("normalizers")
        resolved = resolve_language(text, language, registry)
        for code in (resolved, resolved.split("-")[0]):
            if code in normalizers:
                entry: NormalizerEntry = normalizers[code]
                return entry
    return None


@functools.lru_cache(maxsize=32)
def _phonemizer(config: object, registry: Registry) -> Phonemizer:
    name = registry.entry_of("phonemizers", config).name
    built: Phonemizer = registry.load("phonemizers", name, "phonemizer")(config)
    return built


@functools.lru_cache(maxsize=256)
def _resolved(phonemizer: object, language: str, registry: Registry) -> str:
    resolve = getattr(_phonemizer(phonemizer, registry), "resolve", None)
    if resolve is None:
        return language
    code: str = resolve(language)
    if code != language.replace("_", "-").lower():
        _log.warning("The language '%s' is read as '%s'.", language, code)
    return code


@functools.lru_cache(maxsize=32)
def _built(text: TextConfig, language: str, registry: Registry) -> TextFrontend:
    normalizer = find_normalizer(text, language, registry)
    return TextFrontend(
        normalizer=registry.load("normalizers", normalizer.name, "normalizer")()
        if normalizer
        else clean_text,
        phonemizer=_phonemizer(text.phonemizer, registry),
        language=resolve_language(text, language, registry),
        phones=PhoneMap(text.phones) if text.phones else None,
        edges=text.edges,
        foreign=functools.partial(build_frontend, text, registry=registry),
    )
