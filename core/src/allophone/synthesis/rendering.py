"""From sentences to sound: batches, the vocoder, pauses, and when each phoneme is heard.

B batch, T text, F frames, N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from attrs import Factory, frozen
from numpy.typing import NDArray
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.synthesis.protocol import Mels, Prompt, Speech, Synthesizer, TextBatch
from allophone.synthesis.script import Script, Sentence
from allophone.synthesis.waveform import Waveform
from allophone.text.symbols import SymbolTable

Hear = Callable[[Mels | Speech], Speech]
"""Makes what a model has said heard, which may be mels."""


@frozen(kw_only=True)
class PhonemeTiming:
    """When a symbol of the text is heard, in seconds from the beginning; blanks count to the symbol
    before them."""

    symbol: str
    start: float
    end: float


@frozen(kw_only=True)
class Spoken:
    """A text that was said; phonemes is None where the model tells no durations.

    cut_off: the sentences that did not come to their end, with what stopped them.
    """

    waveform: Waveform
    phonemes: tuple[PhonemeTiming, ...] | None
    cut_off: Mapping[str, str] = Factory(dict)


@frozen(kw_only=True)
class Line:
    """One sentence, who says it and how: speaker and language are ids."""

    sentence: Sentence
    speaker: int
    language: int
    seed: int
    prompt: Prompt | None = None


@frozen(kw_only=True, eq=False)
class Take:
    """A line that was said: samples float32 [N], and the frames of each id where they are known.

    cut_off: what stopped it before its end, if anything did.
    """

    samples: NDArray[np.float32]
    durations: tuple[int, ...] | None
    cut_off: str | None = None


def lines_of(script: Script, seed: int) -> list[Line]:
    """The lines of a script; sentence i is said with `seed + i`, so that none echoes another."""
    return [
        Line(
            sentence=sentence,
            speaker=script.speaker,
            language=script.language,
            seed=seed + index,
            prompt=script.prompt,
        )
        for index, sentence in enumerate(script.sentences)
    ]


def batches(lines: Sequence[Line], batch_size: int) -> Iterator[list[int]]:
    """Which lines are said together: of like length, and all of them with a prompt or none."""
    by_length = sorted(range(len(lines)), key=lambda index: len(lines[index].sentence.ids))
    for prompted in (False, True):
        alike = [index for index in by_length if (lines[index].prompt is not None) == prompted]
        for start in range(0, len(alike), batch_size):
            yield alike[start : start + batch_size]


def text_batch(lines: Sequence[Line], device: torch.device) -> TextBatch:
    """Lines as tensors on a device; all of them have a prompt, or none."""
    prompts = tuple(line.prompt for line in lines if line.prompt is not None)
    assert len(prompts) in (0, len(lines))
    lengths = [len(line.sentence.ids) for line in lines]
    ids = torch.zeros(len(lines), max(lengths), dtype=torch.long)
    for row, line in zip(ids, lines, strict=True):
        row[: len(line.sentence.ids)] = torch.tensor(line.sentence.ids)
    return TextBatch(
        ids=ids.to(device),
        lengths=torch.tensor(lengths, device=device),
        speakers=torch.tensor([line.speaker for line in lines], device=device),
        languages=torch.tensor([line.language for line in lines], device=device),
        seeds=tuple(line.seed for line in lines),
        prompts=prompts or None,
    )


@torch.inference_mode()
def say_lines(
    lines: Sequence[Line],
    synthesizer: Synthesizer,
    controls: Any,
    hear: Hear,
    device: torch.device,
) -> list[Take]:
    """Say some lines in one batch."""
    said = synthesizer.synthesize(text_batch(lines, device), controls)
    return list(_takes(lines, hear(said)))


def _takes(lines: Sequence[Line], speech: Speech) -> Iterator[Take]:
    waveforms = to_numpy(speech.waveform)
    lengths = speech.lengths.tolist()
    durations = None if speech.durations is None else speech.durations.tolist()
    cut_off = speech.cut_off or (None,) * len(lines)
    for row, line in enumerate(lines):
        yield Take(
            samples=waveforms[row, : lengths[row]].copy(),
            durations=tuple(durations[row][: len(line.sentence.ids)]) if durations else None,
            cut_off=cut_off[row],
        )


def to_numpy(waveform: Tensor) -> NDArray[np.float32]:
    """Samples of any shape and device as a NumPy array."""
    array: NDArray[np.float32] = waveform.float().cpu().numpy()
    return array


def join(
    script: Script, takes: Sequence[Take], *, pause: float, audio: MelSpec, table: SymbolTable
) -> Spoken:
    """Put the sentences of a script together, with `pause` seconds of silence between them."""
    silence = silent(pause, audio)
    samples: list[NDArray[np.float32]] = []
    phonemes: list[PhonemeTiming] = []
    for index, (sentence, take) in enumerate(zip(script.sentences, takes, strict=True)):
        if index:
            samples.append(silence)
        start = sum(map(len, samples)) / audio.sample_rate
        phonemes += _timings(sentence, take, start, audio, table)
        samples.append(take.samples)
    return Spoken(
        waveform=Waveform(samples=np.concatenate(samples), sample_rate=audio.sample_rate),
        phonemes=tuple(phonemes) if all(take.durations for take in takes) else None,
        cut_off={
            sentence.text: take.cut_off
            for sentence, take in zip(script.sentences, takes, strict=True)
            if take.cut_off
        },
    )


def silent(seconds: float, audio: MelSpec) -> NDArray[np.float32]:
    """So much silence."""
    return np.zeros(round(seconds * audio.sample_rate), dtype=np.float32)


def _timings(
    sentence: Sentence, take: Take, start: float, audio: MelSpec, table: SymbolTable
) -> Iterator[PhonemeTiming]:
    if take.durations is None:
        return
    frames = 0
    folded = table.fold_durations(take.durations, len(sentence.symbols))
    for symbol, duration in zip(sentence.symbols, folded, strict=True):
        begin, frames = frames, frames + duration
        yield PhonemeTiming(
            symbol=symbol, start=start + audio.seconds(begin), end=start + audio.seconds(frames)
        )
