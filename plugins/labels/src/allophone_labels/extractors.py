"""Phones and their durations, from label files: P phones, F frames, N samples."""

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
    """The names of the phones: strings [P]. They take the place of phonemes from the text.

    Silence at the edges is a phone like any other, since the waveform has it too.
    """

    reads = frozenset({"labels"})

    def __init__(self, config: PhonesConfig, context: ExtractionContext) -> None:
        self._silence = config.silence
        self.key: Mapping[str, Any] = {"version": 2, "silence": config.silence}

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[Any] | Dropped]:
        """One sequence an utterance that has labels."""
        for utterance in utterances:
            phones = _phones(utterance)
            if isinstance(phones, Dropped):
                yield phones
            else:
                names = (phone.name for phone in phones)
                yield np.array([self._silence if name == SILENCE else name for name in names])


class DurationsExtractor:
    """How many frames each phone lasts: int64 [P], whose sum is the number of frames of `[audio]`.

    A frame belongs to the phone in which its centre lies, so a phone shorter than a hop may have none.
    The last phone ends with the recording.
    """

    reads = frozenset({"audio", "labels"})

    def __init__(self, config: DurationsConfig, context: ExtractionContext) -> None:
        """UserError where silence is trimmed, since the times count from the recording's beginning."""
        if "trim_db" in context.audio_key:
            raise UserError(
                "The feature 'durations' counts from the beginning of a recording, which "
                "data.trim_db cuts off.",
                hint="Leave data.trim_db out.",
            )
        self._context = context
        spec = context.audio
        self.key: Mapping[str, Any] = {
            "version": 2,
            "recording": dict(context.audio_key),
            "frames": {"n_fft": spec.n_fft, "hop_length": spec.hop_length, "center": spec.center},
        }

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[Any] | Dropped]:
        """One sequence an utterance that has labels."""
        spec = self._context.audio
        for utterance in utterances:
            phones = _phones(utterance)
            if isinstance(phones, Dropped):
                yield phones
                continue
            frames = spec.frames(len(self._context.load_audio(utterance)))
            ends = np.array([phone.end for phone in phones]) * spec.sample_rate / spec.hop_length
            # Rounding counts centres that lie half a hop after the beginning of each; others lie at it.
            later = 0.5 - spec.frame_center / spec.hop_length
            edges = np.rint(ends + later).astype(np.int64).clip(max=frames)
            edges[-1] = frames
            yield np.diff(edges, prepend=0)


def _phones(utterance: Utterance) -> tuple[Phone, ...] | Dropped:
    if utterance.labels is None:
        return Dropped(reason="no labels", detail="there are no phone times of it")
    if utterance.start is not None or utterance.end is not None:
        return Dropped(
            reason="no labels", detail="labels of a whole recording, of which it is a part"
        )
    try:
        return read_labels(utterance.labels)
    except UserError as error:
        return Dropped(reason="unreadable labels", detail=str(error))
