"""Extractors of phones and their durations from label files.

Shapes: P phones, F frames, N samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allophone.data.manifest import Dropped, Utterance
from allophone.errors import UserError
from allophone.features.protocol import ExtractionContext
from allophone_labels.config import DurationsConfig, PhonesConfig
from allophone_labels.label_files import SILENCE, Phone, read_labels


class PhonesExtractor:
    """Extracts the names of the phones: strings [P]. They replace the phonemes of the text.

    Leading and trailing silences are kept, since they are in the waveform too.
    """

    reads = frozenset({"labels"})

    def __init__(self, config: PhonesConfig, context: ExtractionContext) -> None:
        self._silence = config.silence
        self.key: Mapping[str, Any] = {"version": 2, "silence": config.silence}

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[Any] | Dropped]:
        """Yield the phones of each utterance, or why it has none."""
        for utterance in utterances:
            phones = _phones(utterance)
            if isinstance(phones, Dropped):
                yield phones
            else:
                names = (phone.name for phone in phones)
                yield np.array([self._silence if name == SILENCE else name for name in names])


class DurationsExtractor:
    """Extracts the duration of each phone in frames of `[audio]`: int64 [P], which sum to F.

    A frame belongs to the phone that contains its centre, so a phone shorter than a hop may get 0 frames.
    The last phone ends with the recording.
    """

    reads = frozenset({"audio", "labels"})

    def __init__(self, config: DurationsConfig, context: ExtractionContext) -> None:
        """Raises UserError if silence is trimmed, because label times refer to the whole recording."""
        if "trim_db" in context.audio_key:
            raise UserError(
                "The feature 'durations' cannot be combined with data.trim_db: label times refer to "
                "the untrimmed recording.",
                hint="Remove data.trim_db.",
            )
        self._context = context
        spec = context.audio
        self.key: Mapping[str, Any] = {
            "version": 2,
            "recording": dict(context.audio_key),
            "frames": {"n_fft": spec.n_fft, "hop_length": spec.hop_length, "center": spec.center},
        }

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[Any] | Dropped]:
        """Yield the durations of each utterance, or why it has none."""
        spec = self._context.audio
        for utterance in utterances:
            phones = _phones(utterance)
            if isinstance(phones, Dropped):
                yield phones
                continue
            frames = spec.frames(len(self._context.load_audio(utterance)))
            ends = np.array([phone.end for phone in phones]) * spec.sample_rate / spec.hop_length
            # Rounding assumes that a frame's centre is half a hop after its start; correct for the actual one.
            offset = 0.5 - spec.frame_center / spec.hop_length
            edges = np.rint(ends + offset).astype(np.int64).clip(max=frames)
            edges[-1] = frames
            yield np.diff(edges, prepend=0)


def _phones(utterance: Utterance) -> tuple[Phone, ...] | Dropped:
    if utterance.labels is None:
        return Dropped(reason="no labels", detail="the utterance has no label file")
    if utterance.start is not None or utterance.end is not None:
        return Dropped(
            reason="no labels",
            detail="the utterance is a segment, but the labels are for the whole recording",
        )
    try:
        return read_labels(utterance.labels)
    except UserError as error:
        return Dropped(reason="unreadable labels", detail=str(error))
