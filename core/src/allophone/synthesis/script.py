"""From a text to the sentences that an engine is given, and from their audio to one waveform.

N samples.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.synthesis.engine import Prompt, Samples, Sentence, SentenceAudio
from allophone.synthesis.waveform import PhonemeTiming, Waveform
from allophone.text.frontend import TextFrontend
from allophone.text.sentences import split_sentences
from allophone.text.ssml import passages
from allophone.text.symbols import SymbolTable

_log = logging.getLogger(__name__)

Script = tuple[Sentence, ...]
"""The sentences of a text, to be spoken one after the other."""


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
    """Split a text into sentences, unless `whole`, and look their symbols up.

    Sentence i gets `seed + i`, so that none repeats another's randomness; the rest is as in `Sentence`.
    Parts without a letter or a digit among their symbols, such as a lone punctuation mark, are left out.
    Raises UserError when none is left, and for symbols that the table lacks, quoting the sentence.
    """
    divided = [
        (part, sentence, passage)
        for passage in passages(text)
        for part, sentence in enumerate(
            [passage.text.strip()] if whole else split_sentences(passage.text, frontend.language)
        )
    ]
    symbols = frontend.symbols_batch([sentence for _, sentence, _ in divided])
    script: list[Sentence] = []
    for (part, sentence, passage), read in zip(divided, symbols, strict=True):
        if not _pronounceable(read):
            continue
        _warn_of_unreadable(sentence, frontend)
        script.append(
            Sentence(
                text=sentence,
                symbols=tuple(read),
                ids=_encode(sentence, read, table),
                speaker=speaker,
                language=language,
                seed=seed + len(script),
                prompt=prompt,
                pause=None if part else passage.pause,
                rate=passage.rate,
            )
        )
    if not script:
        shown = f"'{text.strip()}' holds nothing" if text.strip() else "There is no text"
        raise UserError(f"{shown} that can be pronounced.", hint="Give a text with words in it.")
    return tuple(script)


def _warn_of_unreadable(sentence: str, frontend: TextFrontend) -> None:
    unreadable = frontend.unreadable(sentence)
    if unreadable:
        words = ", ".join(f"'{word}'" for word in unreadable)
        _log.warning("Cannot be read in '%s': %s", frontend.language, words)


def batches(sentences: Sequence[Sentence], batch_size: int) -> Iterator[list[int]]:
    """Which sentences are spoken together: of similar length, at one rate, all with a prompt or none."""

    def kind(index: int) -> tuple[bool, float]:
        return sentences[index].prompt is not None, sentences[index].rate

    ordered = sorted(range(len(sentences)), key=lambda i: (kind(i), len(sentences[i].ids)))
    for _, group in groupby(ordered, key=kind):
        alike = list(group)
        for start in range(0, len(alike), batch_size):
            yield alike[start : start + batch_size]


def join(
    script: Script,
    spoken: Sequence[SentenceAudio],
    *,
    pause: float,
    audio: MelSpec,
    table: SymbolTable,
) -> Waveform:
    """The audio of a script's sentences, with silence between them: `pause` seconds, unless they say."""
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
    """The silence before a sentence of a script: what it says, or else `pause`, and none before the first."""
    if sentence.pause is not None:
        return sentence.pause
    return pause if index else 0.0


def silence(seconds: float, audio: MelSpec) -> Samples:
    """Silent samples of that duration."""
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
