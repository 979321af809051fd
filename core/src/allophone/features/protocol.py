"""What a feature extractor is.

An extractor is built once a process and given utterances in chunks, so that what is quicker in batches
(phonemes) can be done in batches. N samples.
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
    """What extractors share.

    audio: the experiment's `[audio]` table.
    model: the config of its `[model]` table, or None: for what a model's family extracts for itself.
    load_audio: the samples of an utterance, float32 [N] at `audio.sample_rate`, cut and trimmed as
        `[data]` says; read once for all extractors. An extractor that reads "audio" is given only
        utterances whose recording can be read and keeps to the limits of `[data.limits]`.
    audio_key: plain data that decides what `load_audio` gives, beside the file itself.
    frontend: the text front end of a language, as `[text]` describes it.
    text_key: plain data that decides what `frontend` gives.
    """

    audio: MelSpec
    model: Any = None
    load_audio: Callable[[Utterance], NDArray[np.float32]]
    audio_key: Mapping[str, Any]
    frontend: Callable[[str | None], TextFrontend]
    text_key: Mapping[str, Any]


class FeatureExtractor(Protocol):
    """Turns utterances into arrays.

    key: plain data (what TOML can hold) that decides the result, beside the utterance itself: the
        config, the parts of the context that are used, and a version that is raised with the code. A
        change of the key makes the store extract again.
    reads: what of an utterance the result depends on, out of "audio", "text", "speaker", "labels".
    """

    @property
    def key(self) -> Mapping[str, Any]: ...

    @property
    def reads(self) -> frozenset[str]: ...

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[Any] | Dropped]:
        """One result an utterance, in order: an array [L, ...], or why there is none.

        An array of strings [T] holds symbols: a batch has them as the ids of the run's symbol table.
        """
        ...


@runtime_checkable
class ReadsFiles(Protocol):
    """An extractor that reads files of its own, which the manifest does not name."""

    def files(self, utterance: Utterance) -> tuple[str, ...]:
        """The files that the result depends on; without one of them the utterance is dropped.

        What is stored is known by their content, so a file that has changed is read again.
        """
        ...
