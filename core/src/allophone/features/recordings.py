"""The recordings of utterances, as the extractors share them. N samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allophone.audio.files import read_audio
from allophone.audio.silence import trim_silence
from allophone.data.manifest import Utterance

_VERSION = 1


class RecordingReader:
    """Reads the recording of an utterance once and holds it until `clear` is called.

    notes: what was done to recordings in reading, such as "mixed 2 channels into one", counted.
    """

    def __init__(self, *, sample_rate: int, trim_db: float | None) -> None:
        self._sample_rate = sample_rate
        self._trim_db = trim_db
        self._held: dict[str, NDArray[np.float32]] = {}
        self.notes: Counter[str] = Counter()

    @property
    def key(self) -> Mapping[str, Any]:
        """Plain data that decides the samples, beside the recording."""
        trimmed = {} if self._trim_db is None else {"trim_db": self._trim_db}
        return {"version": _VERSION, "sample_rate": self._sample_rate, **trimmed}

    def __call__(self, utterance: Utterance) -> NDArray[np.float32]:
        """The samples [N] of an utterance; UserError for what cannot be read."""
        if utterance.id not in self._held:
            audio = read_audio(
                utterance.audio,
                sample_rate=self._sample_rate,
                start=utterance.start,
                end=utterance.end,
            )
            samples = audio.samples
            if self._trim_db is not None:
                samples = trim_silence(samples, self._sample_rate, threshold_db=self._trim_db)
            self.notes.update(audio.notes)
            self._held[utterance.id] = samples
        return self._held[utterance.id]

    def forget(self, utterance: Utterance) -> None:
        """Let go of one recording that will not be asked for again."""
        self._held.pop(utterance.id, None)

    def clear(self) -> None:
        """Let go of all recordings, and of the notes on them."""
        self._held.clear()
        self.notes.clear()
