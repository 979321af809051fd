"""The entries of this plugin. Light: loads neither eSpeak NG nor phonemizer."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import PhonemizerEntry
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_phonemizers() -> Iterator[PhonemizerEntry]:
    yield PhonemizerEntry(
        name="espeak",
        summary="IPA from eSpeak NG, for more than a hundred languages.",
        config="allophone_espeak.config:EspeakConfig",
        phonemizer="allophone_espeak.phonemizers:EspeakPhonemizer",
    )
    yield PhonemizerEntry(
        name="espeak.phonemizer",
        summary="Festival, segments and MBROLA, through the package phonemizer.",
        config="allophone_espeak.config:PhonemizerConfig",
        phonemizer="allophone_espeak.backends:BackendPhonemizer",
    )
