"""Extractor of mel spectrograms from files, such as predictions of a model to fine-tune a vocoder on.

Shapes: F frames, M mel bands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import asdict
from numpy.typing import NDArray

from allophone.audio.mel_files import (
    DESCRIPTION,
    SUFFIX,
    check_description,
    read_description,
    read_mel,
)
from allophone.data.manifest import Dropped, Utterance
from allophone.errors import UserError
from allophone.features.config import MelsConfig
from allophone.features.protocol import ExtractionContext


class MelsExtractor:
    """Reads the mel [F, M] float32 of each utterance from a folder (`allophone.audio.mel_files`).

    An utterance is dropped if its mel does not have the number of frames that `[audio]` gives for the recording.
    """

    reads = frozenset({"audio"})

    def __init__(self, config: MelsConfig, context: ExtractionContext) -> None:
        self._folder = Path(config.directory).expanduser()
        self._context = context
        self.key: Mapping[str, Any] = {
            "version": 1,
            "recording": dict(context.audio_key),
            "audio": asdict(context.audio, filter=lambda _, value: value is not None),
        }

    def files(self, utterance: Utterance) -> tuple[str, ...]:
        """Return the path of the utterance's mel."""
        return (str(self._folder / f"{utterance.id}{SUFFIX}"),)

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[np.float32] | Dropped]:
        """Yield the mel of each utterance, or why it has none.

        Raises UserError if the folder does not describe its mels, or if they do not match `[audio]`.
        """
        if read_description(self._folder) is None:
            raise UserError(
                f"{self._folder} has no {DESCRIPTION}, which describes the settings of its mels.",
                hint="`allophone synthesize --mels` writes it. For mels from other tools, create it with "
                "the keys of the table [audio].",
            )
        check_description(self._folder, self._context.audio, wanted_by="the experiment's [audio]")
        for utterance in utterances:
            yield self._mel(utterance)

    def _mel(self, utterance: Utterance) -> NDArray[np.float32] | Dropped:
        audio = self._context.audio
        (path,) = self.files(utterance)
        try:
            mel = read_mel(path, audio)
        except UserError as error:
            return Dropped(reason="unreadable mel", detail=str(error))
        frames = audio.frames(len(self._context.load_audio(utterance)))
        if mel.shape[1] != frames:
            return Dropped(
                reason="wrong mel length",
                detail=f"the mel has {mel.shape[1]} frames, the recording {frames}",
            )
        return np.ascontiguousarray(mel.T)
