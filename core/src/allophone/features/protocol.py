"""The protocol of feature extractors.

An extractor is built once per process and receives utterances in chunks, so that it can process them in
batches where that is faster (phonemes). Shapes: N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from attrs import frozen

from allophone.audio.melspec import MelSpec
from allophone.data.manifest import Dropped, Utterance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from allophone.text.frontend import TextFrontend


@frozen(kw_only=True)
class ExtractionContext:
    """Shared state of the extractors of an experiment.

    audio: the `[audio]` table of the experiment.
    model: the config of the `[model]` table, or None; for extractors of a model's own plugin.
    load_audio: returns the samples of an utterance, float32 [N] at `audio.sample_rate`, cut to the
        segment and trimmed by `[data]`; cached for all extractors. An extractor that reads "audio" gets
        only utterances whose recording is readable and within `[data.limits]`.
    audio_key: plain data that, with the file, determines the result of `load_audio`.
    frontend: returns the text front end for a language, built from `[text]`.
    text_key: plain data that determines the front end.
    """

    audio: MelSpec
    model: Any = None
    load_audio: Callable[[Utterance], NDArray[np.float32]]
    audio_key: Mapping[str, Any]
    frontend: Callable[[str | None], TextFrontend]
    text_key: Mapping[str, Any]


class FeatureExtractor(Protocol):
    """Computes one array per utterance.

    key: plain data (TOML types) that, with the utterance, determines the result: the config, the parts of
        the context in use, and a version number to increase when the code changes. When the key changes,
        features are extracted again.
    reads: the fields of an utterance that the result depends on: "audio", "text", "speaker", "labels".
    """

    @property
    def key(self) -> Mapping[str, Any]: ...

    @property
    def reads(self) -> frozenset[str]: ...

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[Any] | Dropped]:
        """Yield one result per utterance, in order: an array [L, ...], or why there is none.

        An array of strings [T] holds symbols; in a batch they become ids of the run's symbol table. A scalar, such
        as a distance from what is expected, is for the review of `allophone extract`, which names utterances whose
        value is unusually large; NaN stands for none.
        """
        ...


@runtime_checkable
class ReadsFiles(Protocol):
    """An extractor that reads further files, which are not in the manifest."""

    def files(self, utterance: Utterance) -> tuple[str, ...]:
        """Return the files that the result depends on; if one is missing, the utterance is dropped.

        Stored features are keyed by the content of the files, so a changed file is read again.
        """
        ...
