"""Prompts of the speaker's voice for the NAR model, in training.

Legend: B batch, F frames of codes, P frames of a prompt, Q codebooks.
"""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from allophone_valle.config import PromptMode
from allophone_valle.masks import sequence_mask
from allophone_valle.nar import PromptedCodes

SHORTEST, LONGEST = 0.25, 0.5
"""Shares of an utterance that its prefix may have; a segment of it has the shortest."""


@frozen(kw_only=True)
class PromptDraws:
    """Random numbers that choose the prompts of a batch: [B] from 0 to 1, on the CPU.

    length, place: of the prompt; neighbour: which other utterance it is taken of.
    """

    length: Tensor
    place: Tensor
    neighbour: Tensor

    @classmethod
    def random(cls, batch: int) -> PromptDraws:
        """For training."""
        length, place, neighbour = torch.rand(3, batch)
        return cls(length=length, place=place, neighbour=neighbour)

    @classmethod
    def fixed(cls, batch: int) -> PromptDraws:
        """For validation, which is the same each time."""
        middle = torch.full((batch,), 0.5)
        return cls(length=middle, place=middle, neighbour=torch.zeros(batch))


@frozen(kw_only=True)
class PromptedExample:
    """Codes that begin with a prompt, and which of them are to be predicted: counted [B, F], boolean."""

    prompted: PromptedCodes
    counted: Tensor


def with_prompts(
    codes: Tensor,
    lengths: Tensor,
    speakers: Tensor,
    *,
    mode: PromptMode,
    longest: int,
    draws: PromptDraws,
) -> PromptedExample:
    """Give each utterance of a batch a prompt of its own.

    codes: [B, F, Q] with lengths [B]. speakers: [B], whose utterances are neighbours of each other; one
    without a neighbour in the batch is prompted with a segment of itself. longest: frames of a prompt.
    What a prompt gives away of its own utterance is not counted.
    """
    if mode == "none":
        return _prefixed(codes, lengths, torch.zeros_like(lengths))
    if mode == "prefix":
        share = SHORTEST + (LONGEST - SHORTEST) * draws.length.to(lengths.device)
        return _prefixed(codes, lengths, (share * lengths).long().clamp(max=longest))
    rows = list(range(len(codes)))
    sources = rows if mode == "segment" else _neighbours(speakers, draws.neighbour)
    sizes = lengths.tolist()
    examples = [
        _preceded(
            codes[row, : sizes[row]],
            None if source == row else codes[source, : sizes[source]],
            longest=longest,
            place=float(draws.place[row]),
        )
        for row, source in zip(rows, sources, strict=True)
    ]
    prompted = [example.prompted for example in examples]
    return PromptedExample(
        prompted=PromptedCodes(
            codes=pad_sequence([each.codes for each in prompted], batch_first=True),
            lengths=torch.stack([each.lengths for each in prompted]),
            prompt_lengths=torch.stack([each.prompt_lengths for each in prompted]),
        ),
        counted=pad_sequence([example.counted for example in examples], batch_first=True),
    )


def _prefixed(codes: Tensor, lengths: Tensor, prefixes: Tensor) -> PromptedExample:
    """Utterances [B, F, Q] whose first frames are their prompts."""
    size = codes.size(1)
    return PromptedExample(
        prompted=PromptedCodes(codes=codes, lengths=lengths, prompt_lengths=prefixes),
        counted=sequence_mask(lengths, size) & ~sequence_mask(prefixes, size),
    )


def _preceded(own: Tensor, other: Tensor | None, *, longest: int, place: float) -> PromptedExample:
    """One utterance [F, Q] behind a stretch of another, [F', Q], or of itself where there is none."""
    source = own if other is None else other
    most = len(source) if other is not None else max(1, int(SHORTEST * len(own)))
    size = min(longest, most)
    start = min(int(place * (len(source) - size + 1)), len(source) - size)
    counted = own.new_ones(size + len(own), dtype=torch.bool)
    counted[:size] = False
    if other is None and size < len(own):
        counted[size + start : size + start + size] = False
    return PromptedExample(
        prompted=PromptedCodes(
            codes=torch.cat([source[start : start + size], own]),
            lengths=torch.tensor(size + len(own), device=own.device),
            prompt_lengths=torch.tensor(size, device=own.device),
        ),
        counted=counted,
    )


def _neighbours(speakers: Tensor, draws: Tensor) -> list[int]:
    """For each row another one of the same speaker, or itself where there is none."""
    names = speakers.tolist()
    chosen = []
    for row, (speaker, draw) in enumerate(zip(names, draws.tolist(), strict=True)):
        others = [other for other, name in enumerate(names) if name == speaker and other != row]
        chosen.append(others[int(draw * len(others))] if others else row)
    return chosen
