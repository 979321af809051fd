"""Phones and their durations, from label files that come with a corpus. P phones, F frames, N samples.

The format is that of Festvox and the Edinburgh speech tools: a header that ends in a line `#`, then
one line a phone: the second at which it ends, a number that means nothing, and its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from allophone.data.dropped import Dropped
from allophone.data.manifest import Utterance
from allophone.errors import UserError
from allophone.features.config import DurationsConfig, PhonesConfig
from allophone.features.protocol import ExtractionContext


@frozen(kw_only=True)
class Phone:
    """A phone and the second at which it ends; it begins where the one before it ends, or at 0."""

    name: str
    end: float


def read_labels(path: str | Path) -> tuple[Phone, ...]:
    """The phones of a label file, in order; UserError with the line of a mistake."""
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The labels {path} cannot be read: {error}") from error
    header = next((n for n, line in enumerate(lines) if line.strip() == "#"), None)
    if header is None:
        raise UserError(f"The labels {path} have no line '#' that ends their header.")
    phones: list[Phone] = []
    for number, line in enumerate(lines[header + 1 :], start=header + 2):
        if not line.strip():
            continue
        fields = line.split()
        try:
            phone = Phone(name=fields[2], end=float(fields[0]))
        except (IndexError, ValueError):
            raise UserError(f"{path}:{number} is not of the form: end number phone") from None
        if phone.end < (phones[-1].end if phones else 0.0):
            raise UserError(f"{path}:{number} ends before the phone above it does.")
        phones.append(phone)
    if not phones:
        raise UserError(f"The labels {path} name no phones.")
    return tuple(phones)


class PhonesExtractor:
    """The names of the phones: strings [P]. They take the place of phonemes from the text."""

    reads = frozenset({"labels"})

    def __init__(self, config: PhonesConfig, context: ExtractionContext) -> None:
        self.key: Mapping[str, Any] = {"version": 1}

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[Any] | Dropped]:
        """One sequence an utterance that has labels."""
        for utterance in utterances:
            phones = _phones(utterance)
            if isinstance(phones, Dropped):
                yield phones
            else:
                yield np.array([phone.name for phone in phones])


class DurationsExtractor:
    """How many frames each phone lasts: int64 [P], whose sum is the number of frames of `[audio]`.

    A frame belongs to the phone in which its hop begins, so a phone much shorter than a hop may have
    none. The last phone ends with the recording.
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
            "version": 1,
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
            edges = np.rint(ends).astype(np.int64).clip(max=frames)
            edges[-1] = frames
            yield np.diff(edges, prepend=0)


def _phones(utterance: Utterance) -> tuple[Phone, ...] | Dropped:
    if utterance.labels is None:
        return Dropped(reason="no labels", detail="the corpus has no phone times of it")
    if utterance.start is not None or utterance.end is not None:
        return Dropped(
            reason="no labels", detail="labels of a whole recording, of which it is a part"
        )
    try:
        return read_labels(utterance.labels)
    except UserError as error:
        return Dropped(reason="unreadable labels", detail=str(error))
