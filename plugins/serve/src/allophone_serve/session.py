"""Text that comes in pieces, as from a language model, spoken sentence by sentence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import numpy as np

from allophone.synthesis.engine import Samples
from allophone.synthesis.voice import SENTENCE_PAUSE
from allophone.text.sentences import cut_long, split_sentences
from allophone_serve.encoding import Encoder
from allophone_serve.errors import ApiError
from allophone_serve.orders import check_text
from allophone_serve.service import Service
from allophone_serve.speaking import Piece, samples_of
from allophone_serve.voices import Speaker


class Session:
    """One text: its sentences are said as they are complete, and joined they equal the whole text said at once.

    way: what the requests are counted as.
    encoder: lives as long as the session.
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

    async def speak(self, sentence: str) -> AsyncIterator[bytes]:
        """Say a sentence, after a pause unless it is the first. Raises ApiError."""
        steps = self._steps(sentence, self._spoken)
        # Only the first sentence may find that there is no place.
        reserved = self._spoken > 0
        self._spoken += 1
        async with self._service.job(self._way, steps, reserved=reserved) as job:
            piece = await self._service.first(job)
            while piece is not None:
                if piece.data:
                    yield piece.data
                piece = await anext(job, None)

    def _steps(self, sentence: str, number: int) -> Iterator[Piece]:
        rate = self._who.voice.sample_rate
        for samples in self._samples(sentence, number, rate):
            yield Piece(data=self._encoder.encode(samples), seconds=len(samples) / rate)

    def _samples(self, sentence: str, number: int, rate: int) -> Iterator[Samples]:
        if number:
            yield np.zeros(round(SENTENCE_PAUSE * rate), dtype=np.float32)
        yield from samples_of(
            self._who, sentence, language=self._language, speed=self._speed, seed=number
        )

    def _split(self, text: str) -> list[str]:
        return [piece for one in split_sentences(text, self._language) for piece in cut_long(one)]


def _has_words(sentence: str) -> bool:
    return any(character.isalnum() for character in sentence)
