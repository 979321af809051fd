"""How long each utterance lasts: what batches are made by. Every experiment has it stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allophone.data.manifest import Dropped, Utterance
from allophone.errors import UserError
from allophone.features.protocol import ExtractionContext


class SecondsExtractor:
    """The duration in seconds after cutting and trimming: float64, no dimensions."""

    reads = frozenset({"audio"})

    def __init__(self, context: ExtractionContext) -> None:
        self._context = context
        self.key: Mapping[str, Any] = {"version": 1, "recording": dict(context.audio_key)}

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[Any] | Dropped]:
        """What cannot be read is dropped here, before any other extractor would meet it."""
        for utterance in utterances:
            try:
                samples = self._context.load_audio(utterance)
            except UserError as error:
                yield Dropped(reason="unreadable audio", detail=str(error))
                continue
            yield np.array(len(samples) / self._context.audio.sample_rate)
