"""The entries of this plugin. Light: does not import torch."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import FeatureExtractorEntry
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_feature_extractors() -> Iterator[FeatureExtractorEntry]:
    yield FeatureExtractorEntry(
        name="f0",
        summary="Fundamental frequency of each frame in Hz, 0 if unvoiced.",
        config="allophone_prosody.config:F0Config",
        extractor="allophone_prosody.f0:F0Extractor",
    )
    yield FeatureExtractorEntry(
        name="energy",
        summary="L2 norm of the magnitude spectrum of each frame.",
        config="allophone_prosody.config:EnergyConfig",
        extractor="allophone_prosody.energy:EnergyExtractor",
    )
