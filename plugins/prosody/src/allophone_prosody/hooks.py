"""What this plugin offers. Light: nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import FeatureExtractorEntry
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_feature_extractors() -> Iterator[FeatureExtractorEntry]:
    yield FeatureExtractorEntry(
        name="f0",
        summary="Fundamental frequency a frame, in Hz, 0 where unvoiced.",
        config="allophone_prosody.config:F0Config",
        extractor="allophone_prosody.f0:F0Extractor",
    )
    yield FeatureExtractorEntry(
        name="energy",
        summary="L2 norm of the magnitude spectrum a frame.",
        config="allophone_prosody.config:EnergyConfig",
        extractor="allophone_prosody.energy:EnergyExtractor",
    )
