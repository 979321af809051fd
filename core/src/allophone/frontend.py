"""Builds the text front end described by the `[text]` table of an experiment or a voice."""

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
    """Build the front end for a language, by default that of the table.

    Front ends are cached, so that phonemizers are loaded only once. Raises PluginError if the phonemizer is not
    installed, and UserError if it does not support the language.
    """
    return _built(text, language or text.language, registry or default_registry())


def resolve_language(text: TextConfig, language: str, registry: Registry) -> str:
    """Return the phonemizer's code for a language, such as "en-us" for "en_US" with eSpeak NG.

    A code that differs in more than spelling is logged once. Raises UserError if the phonemizer does not support
    the language; some phonemizers cannot tell.
    """
    return _resolved(text.phonemizer, language, registry)


def find_normalizer(text: TextConfig, language: str, registry: Registry) -> NormalizerEntry | None:
    """Find the normalizer for a language such as "en-us", falling back to "en".

    Returns None if no normalizer is installed or `text.normalize` is false; `clean_text` is used then.
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
