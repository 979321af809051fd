"""When words and phonemes are spoken, as data for clients."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from allophone.synthesis.waveform import PhonemeTiming


def timing_fields(sentence: str, phonemes: Sequence[PhonemeTiming]) -> dict[str, Any]:
    """The fields `words` and `phonemes`, in seconds.

    A word is what lies between two spaces of the phonemes. It has a text where the sentence has as many words, and
    None otherwise: numbers become several words, and some words are read as one.
    """
    found = [list(group) for space, group in groupby(phonemes, _is_space) if not space]
    found = [group for group in found if any(_is_letter(one.symbol) for one in group)]
    written = [word for word in sentence.split() if _is_letter(word)]
    texts: Sequence[str | None] = written
    if len(written) != len(found):
        texts = [None] * len(found)
    return {
        "words": [
            {"text": text, **_times(group[0].start, group[-1].end)}
            for text, group in zip(texts, found, strict=True)
        ],
        "phonemes": [{"symbol": one.symbol, **_times(one.start, one.end)} for one in phonemes],
    }


def _times(start: float, end: float) -> dict[str, float]:
    return {"start": round(start, 4), "end": round(end, 4)}


def _is_space(one: PhonemeTiming) -> bool:
    return not one.symbol.strip()


def _is_letter(text: str) -> bool:
    return any(character.isalnum() for character in text)
