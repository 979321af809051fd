"""Where the speech comes from: a voice that is asked to speak, or a folder of finished files. N samples."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from allophone import load
from allophone.errors import UserError
from allophone.synthesis.batch import adapt_requests
from allophone.synthesis.requests import Request
from allophone.synthesis.voice import Voice
from allophone_evaluate.items import Recording, recordings


@frozen(kw_only=True, eq=False)
class Speech:
    """Speech float32 [N] at a rate in Hz, with its language, if known, and the times that it took; see
    `SynthesizedSpeech`."""

    samples: NDArray[np.float32]
    sample_rate: int
    language: str | None = None
    synthesis_seconds: float | None = None
    first_audio_seconds: float | None = None


class Source(Protocol):
    """Has a name, and speaks texts.

    measures_time: whether its speech has times.
    """

    name: str
    measures_time: bool

    def speak(self, request: Request) -> Speech:
        """The speech of a text. Any exception means that this utterance failed."""
        ...


@define(kw_only=True, eq=False)
class VoiceSource:
    """A voice, which says each text with the same seed and controls.

    measures_time: whether to measure how long it takes. The first text is then said once beforehand, so that no
        time includes what is loaded at first use, and each text is streamed up to its first chunk.
    """

    name: str
    voice: Voice
    seed: int = 0
    controls: Mapping[str, Any] = {}
    measures_time: bool = True
    _warm: bool = field(default=False, init=False)

    def speak(self, request: Request) -> Speech:
        """Say the text; see `Voice.say` for what it raises."""
        (adapted,) = adapt_requests([request], self.voice)
        if not request.text.strip():
            raise UserError(f"'{request.id}' has no text to speak.")
        how = self._arguments(adapted)
        if self.measures_time and not self._warm:
            self.voice.say(adapted.text, **how)
            self._warm = True
        began = time.perf_counter()
        spoken = self.voice.say(adapted.text, **how)
        seconds = time.perf_counter() - began
        return Speech(
            samples=spoken.samples,
            sample_rate=spoken.sample_rate,
            language=request.language or self.voice.languages[0],
            synthesis_seconds=seconds if self.measures_time else None,
            first_audio_seconds=self._first_audio(adapted.text, how)
            if self.measures_time
            else None,
        )

    def _first_audio(self, text: str, how: Mapping[str, Any]) -> float:
        began = time.perf_counter()
        chunks = self.voice.stream(text, **how)
        next(chunks)
        seconds = time.perf_counter() - began
        close = getattr(chunks, "close", None)
        if close:
            close()
        return seconds

    def _arguments(self, request: Request) -> dict[str, Any]:
        how: dict[str, Any] = {
            "speaker": request.speaker,
            "language": request.language,
            "seed": self.seed,
            **self.controls,
        }
        if request.prompt_audio:
            how["prompt"] = self.voice.prompt(
                request.prompt_audio, text=request.prompt_text, language=request.language
            )
        return how


class FolderSource:
    """Finished speech: the files of a folder, whose names without extension are the ids of the texts."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError if the folder has no recordings."""
        self.name = folder.name or str(folder)
        self.measures_time = False
        self._folder = folder
        self._recordings: Mapping[str, Recording] = recordings(folder)

    def speak(self, request: Request) -> Speech:
        """Read the file; UserError if it is missing or unreadable."""
        if request.id not in self._recordings:
            raise UserError(f"{self._folder} has no file for '{request.id}'.")
        audio = self._recordings[request.id].read()
        return Speech(
            samples=audio.samples, sample_rate=audio.sample_rate, language=request.language
        )


@frozen(kw_only=True)
class SourcesConfig:
    """What speaks: voices, and folders of finished speech.

    seed, controls: of all voices. The others are arguments of `allophone.load`.
    """

    voices: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    engine: str | None = None
    vocoder: str | None = None
    device: str = "cpu"
    seed: int = 0
    controls: Mapping[str, Any] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the sources, in order."""
        return (*self.voices, *(folder.name or str(folder) for folder in self.folders))

    def open(self) -> list[Source]:
        """Load the voices and list the folders, in order. Raises UserError also if a voice does not have the controls."""
        folders = [FolderSource(folder) for folder in self.folders]
        voices = [
            VoiceSource(
                name=name,
                voice=load(name, engine=self.engine, vocoder=self.vocoder, device=self.device),
                seed=self.seed,
                controls=self.controls,
            )
            for name in self.voices
        ]
        for source in voices:
            source.voice.controls(self.controls)
        return [*voices, *folders]
