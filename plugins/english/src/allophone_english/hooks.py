"""What this plugin offers. Light: the rules are imported when a text is read."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import NormalizerEntry
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_normalizers() -> Iterator[NormalizerEntry]:
    yield NormalizerEntry(
        language="en",
        summary="English numbers, money, dates, times and abbreviations in words.",
        normalizer="allophone_english.normalizer:EnglishNormalizer",
        # Raised whenever a text is read otherwise; a test compares.
        version=1,
    )
