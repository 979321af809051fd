"""The extractors of what a teacher computed.

They read the files that `allophone distill` wrote. C latent channels, F frames, H hidden channels, N samples, T text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allophone.data.manifest import Dropped, Utterance
from allophone.features.protocol import ExtractionContext
from allophone_vits.distillation.config import EncodedTextConfig, LatentsConfig


class _ComputedByTeacher:
    """Reads a float array [L, ...] of each utterance, in the precision of the file."""

    what: str
    reads: frozenset[str]

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        self._folder = folder
        self.key = {"version": 1, **key}

    def files(self, utterance: Utterance) -> tuple[str, ...]:
        """Return the path of the utterance's array."""
        return (str(self._folder / f"{utterance.id}.npy"),)

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[Any] | Dropped]:
        """Yield the array of each utterance, or why it has none."""
        for utterance in utterances:
            yield self._read(utterance)

    def check(self, array: NDArray[Any], utterance: Utterance) -> Dropped | None:
        """Return why an array does not belong to an utterance, if that is so."""
        return None

    def _read(self, utterance: Utterance) -> NDArray[Any] | Dropped:
        (path,) = self.files(utterance)
        try:
            array: NDArray[Any] = np.load(path)
        except (OSError, ValueError) as error:
            return Dropped(reason=f"unreadable {self.what}", detail=f"{path}: {error}")
        if array.ndim != 2 or array.dtype.kind != "f":
            return Dropped(
                reason=f"unreadable {self.what}",
                detail=f"{path} holds {array.dtype} {list(array.shape)}, expected floats of two dimensions",
            )
        return self.check(array, utterance) or array


class LatentsExtractor(_ComputedByTeacher):
    """Reads the latents [F, C] of each utterance.

    An utterance is dropped if its recording has not `hop_length` samples for each frame: then it is not what a
    teacher said of these latents.
    """

    what = "latents"
    reads = frozenset({"audio"})

    def __init__(self, config: LatentsConfig, context: ExtractionContext) -> None:
        self._context = context
        hop_length = context.audio.hop_length
        key = {"recording": dict(context.audio_key), "hop_length": hop_length}
        super().__init__(Path(config.directory).expanduser(), key)

    def check(self, array: NDArray[Any], utterance: Utterance) -> Dropped | None:
        samples = len(self._context.load_audio(utterance))
        expected = len(array) * self._context.audio.hop_length
        if samples == expected:
            return None
        return Dropped(
            reason="wrong length",
            detail=f"the recording has {samples} samples, its {len(array)} frames {expected}",
        )


class EncodedTextExtractor(_ComputedByTeacher):
    """Reads what a teacher's text encoder made of each text: hidden states, means and log scales, [T, H + 2 C]."""

    what = "encoded text"
    reads = frozenset({"text"})

    def __init__(self, config: EncodedTextConfig, context: ExtractionContext) -> None:
        super().__init__(Path(config.directory).expanduser(), {"text": dict(context.text_key)})
