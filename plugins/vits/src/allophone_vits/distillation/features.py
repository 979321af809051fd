"""The extractor of a teacher's latents. C latent channels, F frames, N samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allophone.data.manifest import Dropped, Utterance
from allophone.features.protocol import ExtractionContext
from allophone_vits.distillation.config import LatentsConfig


class LatentsExtractor:
    """Reads the latents [F, C] of each utterance, in the precision of the file.

    An utterance is dropped if its recording has not `hop_length` samples for each frame: then it is not what a
    teacher said of these latents.
    """

    reads = frozenset({"audio"})

    def __init__(self, config: LatentsConfig, context: ExtractionContext) -> None:
        self._folder = Path(config.directory).expanduser()
        self._context = context
        self.key: Mapping[str, Any] = {
            "version": 1,
            "recording": dict(context.audio_key),
            "hop_length": context.audio.hop_length,
        }

    def files(self, utterance: Utterance) -> tuple[str, ...]:
        """Return the path of the utterance's latents."""
        return (str(self._folder / f"{utterance.id}.npy"),)

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[Any] | Dropped]:
        """Yield the latents of each utterance, or why it has none."""
        for utterance in utterances:
            yield self._latents(utterance)

    def _latents(self, utterance: Utterance) -> NDArray[Any] | Dropped:
        (path,) = self.files(utterance)
        try:
            latents: NDArray[Any] = np.load(path)
        except (OSError, ValueError) as error:
            return Dropped(reason="unreadable latents", detail=f"{path}: {error}")
        if latents.ndim != 2 or latents.dtype.kind != "f":
            return Dropped(
                reason="unreadable latents",
                detail=f"{path} holds {latents.dtype} {list(latents.shape)}, expected floats [F, C]",
            )
        samples = len(self._context.load_audio(utterance))
        expected = len(latents) * self._context.audio.hop_length
        if samples != expected:
            return Dropped(
                reason="wrong length",
                detail=f"the recording has {samples} samples, its {len(latents)} frames {expected}",
            )
        return latents
