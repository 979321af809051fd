"""Reads recordings for all extractors, and extracts waveforms and durations. Shapes: N samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allophone.audio.files import Audio, read_audio
from allophone.audio.silence import trim_silence
from allophone.data.manifest import Dropped, Remark, Utterance
from allophone.errors import UserError
from allophone.features.config import WaveformConfig
from allophone.features.protocol import ExtractionContext

_VERSION = 1


_SILENT = 2.0**-15
"""The peak up to which there is nothing to hear: one step of 16 bits."""

_CANCELLED = 0.01
"""What is left of the peak where channels cancel out: the difference of two microphones leaves more."""

_TOLERATED_SECONDS = 0.05
"""What may be missing at the end: lists round times, and codecs work in blocks."""

_TOLERATED_SHARE = 0.1
"""The share of an utterance that may be missing; with more of it gone the text says what is not there."""


class UnusableRecordingError(UserError):
    """A recording that can be read, and can only do harm; `reason` is counted."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class RecordingReader:
    """Reads the recording of an utterance and caches it until `clear` is called.

    notes: counts of conversions made while reading, such as "mixed 2 channels into one".
    remarks: by id, what is odd about recordings that were read.
    """

    def __init__(self, *, sample_rate: int, trim_db: float | None) -> None:
        self._sample_rate = sample_rate
        self._trim_db = trim_db
        self._held: dict[str, NDArray[np.float32]] = {}
        self.notes: Counter[str] = Counter()
        self.remarks: dict[str, Remark] = {}

    @property
    def key(self) -> Mapping[str, Any]:
        """Plain data that, with the recording, determines the samples."""
        trimmed = {} if self._trim_db is None else {"trim_db": self._trim_db}
        return {"version": _VERSION, "sample_rate": self._sample_rate, **trimmed}

    def __call__(self, utterance: Utterance) -> NDArray[np.float32]:
        """Return the samples [N] of an utterance. Raises UserError if the file cannot be read."""
        if utterance.id not in self._held:
            audio = read_audio(
                utterance.audio,
                sample_rate=self._sample_rate,
                start=utterance.start,
                end=utterance.end,
            )
            if remark := _examined(audio):
                self.remarks[utterance.id] = remark
            samples = audio.samples
            if self._trim_db is not None:
                samples = trim_silence(samples, self._sample_rate, threshold_db=self._trim_db)
            self.notes.update(audio.notes)
            self._held[utterance.id] = samples
        return self._held[utterance.id]

    def forget(self, utterance: Utterance) -> None:
        """Remove one recording from the cache."""
        self._held.pop(utterance.id, None)

    def clear(self) -> None:
        """Remove all recordings, notes and remarks."""
        self._held.clear()
        self.notes.clear()
        self.remarks.clear()


def _examined(audio: Audio) -> Remark | None:
    """What is odd about a recording; UnusableRecordingError where it must be left out."""
    if audio.peak <= _SILENT:
        raise UnusableRecordingError(
            "silent recording", f"its peak is {audio.peak:.1g} of full scale"
        )
    peak = float(np.abs(audio.samples).max())
    if peak < _CANCELLED * audio.peak:
        raise UnusableRecordingError(
            "channels cancel out",
            f"mixed into one they have a peak of {peak:.1g}, alone of {audio.peak:.2g}",
        )
    odd: dict[str, str] = {}
    missing = audio.missing_seconds
    if missing > _TOLERATED_SECONDS:
        ends = f"it ends {missing:.2f} s before it should, after {audio.seconds:.2f} s"
        if missing > _TOLERATED_SHARE * (audio.seconds + missing):
            raise UnusableRecordingError("cut off", ends)
        odd["ends early"] = ends
    elif audio.unfinished:
        odd["has no end"] = f"the file was cut off at some time after {audio.seconds:.2f} s"
    if audio.peak > 1:
        odd["beyond full scale"] = f"its peak is {audio.peak:.3g}"
    return Remark(reason=", ".join(odd), detail="; ".join(odd.values())) if odd else None


class WaveformExtractor:
    """Extracts the samples [N] float32 in [-1, 1], at the sample rate of `[audio]`.

    The store keeps samples of 16-bit files that were not resampled as 16 bits, without loss.
    """

    reads = frozenset({"audio"})

    def __init__(self, config: WaveformConfig, context: ExtractionContext) -> None:
        self._context = context
        self.key: Mapping[str, object] = {"version": 1, "recording": dict(context.audio_key)}

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[np.float32]]:
        """Yield the waveform of each utterance."""
        for utterance in utterances:
            yield self._context.load_audio(utterance)


class SecondsExtractor:
    """Extracts the duration in seconds after cutting and trimming: a float64 scalar.

    Every experiment stores it, because batching needs it.
    """

    reads = frozenset({"audio"})

    def __init__(self, context: ExtractionContext) -> None:
        self._context = context
        self.key: Mapping[str, Any] = {"version": 1, "recording": dict(context.audio_key)}

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[Any] | Dropped]:
        """Yield the duration of each utterance, or why its recording cannot be read."""
        for utterance in utterances:
            try:
                samples = self._context.load_audio(utterance)
            except UnusableRecordingError as error:
                yield Dropped(reason=error.reason, detail=error.message)
                continue
            except UserError as error:
                yield Dropped(reason="unreadable audio", detail=str(error))
                continue
            yield np.array(len(samples) / self._context.audio.sample_rate)
