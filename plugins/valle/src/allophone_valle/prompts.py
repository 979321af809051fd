"""What the NAR model is given to hear of the speaker while it learns.

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
class Chances:
    """What decides upon the prompts of a batch: numbers [B] from 0 to 1, on the CPU.

    length, place: of the prompt; neighbour: which other utterance it is taken of.
    """

    length: Tensor
    place: Tensor
    neighbour: Tensor

    @classmethod
    def drawn(cls, batch: int) -> Chances:
        """For training."""
        length, place, neighbour = torch.rand(3, batch)
        return cls(length=length, place=place, neighbour=neighbour)

    @classmethod
    def fixed(cls, batch: int) -> Chances:
        """For validation, in which nothing is left to chance."""
        middle = torch.full((batch,), 0.5)
        return cls(length=middle, place=middle, neighbour=torch.zeros(batch))


@frozen(kw_only=True)
class Lesson:
    """Codes with a prompt before, and which of them are to be predicted: counted [B, F], boolean."""

    prompted: PromptedCodes
    counted: Tensor


def with_prompts(
    codes: Tensor,
    lengths: Tensor,
    speakers: Tensor,
    *,
    mode: PromptMode,
    longest: int,
    chances: Chances,
) -> Lesson:
    """Give each utterance of a batch a prompt of its own.

    codes: [B, F, Q] with lengths [B]. speakers: [B], whose utterances are neighbours of each other; one
    without a neighbour in the batch is prompted with a segment of itself. longest: frames of a prompt.
    What a prompt gives away of its own utterance is not counted.
    """
    if mode in ("none", "prefix"):
        share = SHORTEST + (LONGEST - SHORTEST) * chances.length.to(lengths.device)
        prefixes = (share * lengths).long().clamp(max=longest)
        prompt_lengths = torch.zeros_like(lengths) if mode == "none" else prefixes
        prompted = PromptedCodes(codes=codes, lengths=lengths, prompt_lengths=prompt_lengths)
        real = sequence_mask(lengths, codes.size(1))
        return Lesson(
            prompted=prompted, counted=real & ~sequence_mask(prompt_lengths, codes.size(1))
        )
    alike = lengths.tolist()
    sources = (
        _neighbours(speakers, chances.neighbour) if mode == "neighbour" else list(range(len(alike)))
    )
    rows, counted, prompt_lengths_ = [], [], []
    for row, (length, source) in enumerate(zip(alike, sources, strict=True)):
        of_itself = source == row
        room = alike[source]
        size = min(longest, max(1, int(SHORTEST * room)) if of_itself else room)
        start = int(float(chances.place[row]) * (room - size + 1))
        start = min(start, room - size)
        rows.append(torch.cat([codes[source, start : start + size], codes[row, :length]]))
        is_counted = torch.ones(size + length, dtype=torch.bool, device=codes.device)
        is_counted[:size] = False
        if of_itself and size < length:
            is_counted[size + start : size + start + size] = False
        counted.append(is_counted)
        prompt_lengths_.append(size)
    prompts = torch.tensor(prompt_lengths_, device=codes.device)
    return Lesson(
        prompted=PromptedCodes(
            codes=pad_sequence(rows, batch_first=True),
            lengths=lengths + prompts,
            prompt_lengths=prompts,
        ),
        counted=pad_sequence(counted, batch_first=True),
    )


def _neighbours(speakers: Tensor, chances: Tensor) -> list[int]:
    """For each row another one of the same speaker, or itself where there is none."""
    names = speakers.tolist()
    chosen = []
    for row, (speaker, chance) in enumerate(zip(names, chances.tolist(), strict=True)):
        others = [other for other, name in enumerate(names) if name == speaker and other != row]
        chosen.append(others[int(chance * len(others))] if others else row)
    return chosen
