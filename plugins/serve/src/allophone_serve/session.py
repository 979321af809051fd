"""Text that comes in pieces, as from a language model, spoken sentence by sentence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import numpy as np
from attrs import evolve

from allophone.synthesis.engine import Samples
from allophone.synthesis.voice import SENTENCE_PAUSE
from allophone.text.sentences import cut_long, split_sentences
from allophone_serve.encoding import Encoder
from allophone_serve.errors import ApiError
from allophone_serve.orders import check_text
from allophone_serve.service import Service
from allophone_serve.speaking import Piece, checked, samples_of, speed_controls
from allophone_serve.voices import Speaker


class Session:
    """One text: its sentences are said as they are complete, and joined they equal the whole text said at once.

    way: what the requests are counted as.
    encoder: lives as long as the session.
    seconds: the speech so far.
    timings: whether to synthesize whole sentences, with the times of their phonemes.
    """

    def __init__(
        self,
        service: Service,
        way: str,
        who: Speaker,
        *,
        encoder: Encoder,
        language: str | None = None,
        speed: float = 1.0,
        timings: bool = False,
    ) -> None:
        self._service = service
        self._way = way
        self._who = who
        self._encoder = encoder
        self._language = language or who.voice.languages[0]
        self._speed = speed
        self._unfinished = ""
        self._characters = 0
        self._spoken = 0
        self.seconds = 0.0
        self._rate = who.voice.sample_rate
        self._timings = timings

    def push(self, text: str) -> list[str]:
        """Add text; the sentences that it completes. Raises ApiError if the text is now too long."""
        if not text:
            return []
        self._characters += len(text)
        limit = self._service.options.characters
        if text.strip():
            check_text(text, characters=limit)
        if self._characters > limit:
            raise ApiError(
                status=400, message=f"This server speaks at most {limit:,} characters at once."
            )
        self._unfinished += text
        sentences = self._split(self._unfinished)
        if len(sentences) < 2:
            return []
        # The last may go on. What follows it is kept too: white space may end it.
        self._unfinished = self._unfinished[self._unfinished.rindex(sentences[-1]) :]
        return [one for one in sentences[:-1] if _has_words(one)]

    def finish(self) -> list[str]:
        """The sentences that are left at the end of the text."""
        left, self._unfinished = self._unfinished, ""
        return [one for one in self._split(left) if _has_words(one)]

    @asynccontextmanager
    async def speak(self, sentence: str) -> AsyncIterator[AsyncIterator[Piece]]:
        """Say a sentence, after a pause unless it is the first: its pieces. Raises ApiError.

        The pause is part of the first piece. With timings, there is one piece, and its phonemes are timed from the
        beginning of the text.
        """
        steps = self._timed_steps(sentence) if self._timings else self._steps(sentence)
        # Only the first sentence may find that there is no place.
        reserved = self._spoken > 0
        async with self._service.job(self._way, steps, reserved=reserved) as job:
            yield self._service.pieces(job)
        self._spoken += 1

    def start_of_next(self) -> float:
        """When the next sentence will begin, in seconds from the beginning of the text."""
        return self.seconds + len(self._pause()) / self._rate

    def _steps(self, sentence: str) -> Iterator[Piece]:
        before = self._pause()
        for samples in samples_of(
            self._who,
            sentence,
            language=self._language,
            speed=self._speed,
            seed=self._spoken,
        ):
            yield self._encoded(np.concatenate([before, samples]))
            before = before[:0]

    def _timed_steps(self, sentence: str) -> Iterator[Piece]:
        start = self.start_of_next()
        voice = self._who.voice
        waveform = voice.say(
            sentence,
            speaker=self._who.speaker,
            language=self._language,
            seed=self._spoken,
            **speed_controls(voice, self._speed),
        )
        phonemes = waveform.phonemes and tuple(
            evolve(one, start=one.start + start, end=one.end + start) for one in waveform.phonemes
        )
        piece = self._encoded(np.concatenate([self._pause(), checked(waveform.samples, voice)]))
        yield evolve(piece, phonemes=phonemes)

    def _pause(self) -> Samples:
        seconds = SENTENCE_PAUSE if self._spoken else 0.0
        return np.zeros(round(seconds * self._rate), dtype=np.float32)

    def _encoded(self, samples: Samples) -> Piece:
        seconds = len(samples) / self._rate
        self.seconds += seconds
        return Piece(data=self._encoder.encode(samples), seconds=seconds)

    def _split(self, text: str) -> list[str]:
        return [piece for one in split_sentences(text, self._language) for piece in cut_long(one)]


def _has_words(sentence: str) -> bool:
    return any(character.isalnum() for character in sentence)
