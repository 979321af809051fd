"""Splits a text into sentences for an engine, and joins their audio into one waveform. N samples."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.files.parsing import why_not_text
from allophone.synthesis.engine import Prompt, Samples, Sentence, SentenceAudio
from allophone.synthesis.waveform import PhonemeTiming, Waveform
from allophone.text.frontend import TextFrontend
from allophone.text.sentences import cut_long, split_sentences
from allophone.text.ssml import passages
from allophone.text.symbols import SymbolTable

_log = logging.getLogger(__name__)

Script = tuple[Sentence, ...]
"""The sentences of a text, in order."""


def read_script(
    text: str,
    frontend: TextFrontend,
    table: SymbolTable,
    *,
    speaker: int = 0,
    language: int = 0,
    seed: int = 0,
    prompt: Prompt | None = None,
    whole: bool = False,
) -> Script:
    """Split a text into sentences, unless `whole`, and encode their symbols. Very long sentences are cut.

    Sentence i gets the seed `seed + i`; the other arguments are those of `Sentence`. Sentences whose symbols
    contain no letter or digit, such as a lone punctuation mark, are dropped.

    Raises UserError if no sentence is left, for a text with NUL or half of a character, and for symbols that are not in the table, quoting the sentence.
    """
    if wrong := why_not_text(text):
        raise UserError(f"The text {wrong}", hint="Remove it; texts are in UTF-8.")
    divided = [
        (part, sentence, passage)
        for passage in passages(text)
        for part, sentence in enumerate(
            [passage.text.strip()] if whole else _sentences(passage.text, frontend.language)
        )
    ]
    readings = frontend.read([sentence for _, sentence, _ in divided])
    script: list[Sentence] = []
    for (part, sentence, passage), reading in zip(divided, readings, strict=True):
        if not _pronounceable(reading.symbols):
            continue
        if reading.unreadable:
            words = ", ".join(f"'{word}'" for word in reading.unreadable)
            _log.warning("Cannot be read in '%s': %s", frontend.language, words)
        script.append(
            Sentence(
                text=sentence,
                symbols=tuple(reading.symbols),
                ids=_encode(sentence, reading.symbols, table),
                speaker=speaker,
                language=language,
                seed=seed + len(script),
                prompt=prompt,
                pause=None if part else passage.pause,
                rate=passage.rate,
            )
        )
    if not script:
        shown = f"'{text.strip()}' contains nothing" if text.strip() else "There is no text"
        raise UserError(f"{shown} that can be pronounced.", hint="Give a text with words in it.")
    return tuple(script)


def _sentences(text: str, language: str) -> Iterator[str]:
    for sentence in split_sentences(text, language):
        yield from cut_long(sentence)


def batches(sentences: Sequence[Sentence], batch_size: int) -> Iterator[list[int]]:
    """Group the indices of sentences into batches of similar length and equal rate.

    Either all sentences of a batch have a prompt, or none has.
    """

    def kind(index: int) -> tuple[bool, float]:
        return sentences[index].prompt is not None, sentences[index].rate

    ordered = sorted(range(len(sentences)), key=lambda i: (kind(i), len(sentences[i].ids)))
    for _, group in groupby(ordered, key=kind):
        same = list(group)
        for start in range(0, len(same), batch_size):
            yield same[start : start + batch_size]


def join(
    script: Script,
    spoken: Sequence[SentenceAudio],
    *,
    pause: float,
    audio: MelSpec,
    table: SymbolTable,
) -> Waveform:
    """Join the audio of a script's sentences, with `pause` seconds between them unless they set their own."""
    samples: list[Samples] = []
    phonemes: list[PhonemeTiming] = []
    for index, (sentence, one) in enumerate(zip(script, spoken, strict=True)):
        samples.append(silence(seconds_before(sentence, index, pause), audio))
        start = sum(map(len, samples)) / audio.sample_rate
        phonemes += _timings(sentence, one, start, audio, table)
        samples.append(one.samples)
    return Waveform(
        samples=np.concatenate(samples),
        sample_rate=audio.sample_rate,
        phonemes=tuple(phonemes) if all(one.durations for one in spoken) else None,
        cut_off={
            sentence.text: one.cut_off
            for sentence, one in zip(script, spoken, strict=True)
            if one.cut_off
        },
    )


def seconds_before(sentence: Sentence, index: int, pause: float) -> float:
    """Seconds of silence before a sentence: its own pause, or else `pause`, and none before the first."""
    if sentence.pause is not None:
        return sentence.pause
    return pause if index else 0.0


def silence(seconds: float, audio: MelSpec) -> Samples:
    """Return `seconds` of silence."""
    return np.zeros(round(seconds * audio.sample_rate), dtype=np.float32)


def _pronounceable(symbols: Iterable[str]) -> bool:
    return any(character.isalnum() for symbol in symbols for character in symbol)


def _encode(text: str, symbols: list[str], table: SymbolTable) -> tuple[int, ...]:
    try:
        return tuple(table.encode(symbols))
    except UserError as error:
        raise UserError(f"In '{text}': {error.message}", hint=error.hint) from error


def _timings(
    sentence: Sentence, spoken: SentenceAudio, start: float, audio: MelSpec, table: SymbolTable
) -> Iterator[PhonemeTiming]:
    if spoken.durations is None:
        return
    frames = 0
    folded = table.fold_durations(spoken.durations, len(sentence.symbols))
    for symbol, duration in zip(sentence.symbols, folded, strict=True):
        begin, frames = frames, frames + duration
        yield PhonemeTiming(
            symbol=symbol, start=start + audio.seconds(begin), end=start + audio.seconds(frames)
        )
