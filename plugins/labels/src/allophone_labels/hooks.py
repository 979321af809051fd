"""Hooks of this plugin. Does not import torch."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import FeatureExtractorEntry
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_feature_extractors() -> Iterator[FeatureExtractorEntry]:
    for name, module, summary in (
        ("phones", "extractors", "The phones in the label files of the corpus."),
        ("durations", "extractors", "The duration of each of these phones, in frames."),
        (
            "alignments",
            "alignments",
            "The duration of each symbol of the text in frames, from a trained voice that can align.",
        ),
        (
            "teacher-distances",
            "teacher",
            "How far each recording is from what a trained voice says in its place, to find wrong texts.",
        ),
    ):
        title = name.title().replace("-", "")
        yield FeatureExtractorEntry(
            name=name,
            summary=summary,
            config=f"allophone_labels.config:{title}Config",
            extractor=f"allophone_labels.{module}:{title}Extractor",
        )
