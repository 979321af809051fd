"""Speaker prompts for training the NAR model.

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

MIN_SHARE, MAX_SHARE = 0.25, 0.5
"""Range of a prefix prompt's share of the utterance; a segment prompt has the minimum."""


@frozen(kw_only=True)
class PromptDraws:
    """Random numbers in [0, 1) that select the prompts of a batch, [B], on the CPU.

    length, position: of the prompt; neighbour: which other utterance it is taken from.
    """

    length: Tensor
    position: Tensor
    neighbour: Tensor

    @classmethod
    def random(cls, batch: int) -> PromptDraws:
        """Random draws, for training."""
        length, position, neighbour = torch.rand(3, batch)
        return cls(length=length, position=position, neighbour=neighbour)

    @classmethod
    def fixed(cls, batch: int) -> PromptDraws:
        """Fixed draws, for validation."""
        middle = torch.full((batch,), 0.5)
        return cls(length=middle, position=middle, neighbour=torch.zeros(batch))


@frozen(kw_only=True)
class PromptedExample:
    """Prompted codes; loss_mask: [B, F] boolean, frames that have a loss."""

    prompted: PromptedCodes
    loss_mask: Tensor


def add_prompts(
    codes: Tensor,
    lengths: Tensor,
    speakers: Tensor,
    *,
    mode: PromptMode,
    max_frames: int,
    draws: PromptDraws,
) -> PromptedExample:
    """Add a prompt to each utterance of a batch.

    codes: [B, F, Q], lengths: [B]. speakers: [B]; in mode "neighbour", an utterance without another one of
    its speaker in the batch is prompted with a segment of itself. max_frames: maximum length of a prompt.
    Frames of the utterance that its prompt reveals have no loss.
    """
    if mode == "none":
        return _prefix_prompt(codes, lengths, torch.zeros_like(lengths))
    if mode == "prefix":
        share = MIN_SHARE + (MAX_SHARE - MIN_SHARE) * draws.length.to(lengths.device)
        return _prefix_prompt(codes, lengths, (share * lengths).long().clamp(max=max_frames))
    rows = list(range(len(codes)))
    sources = rows if mode == "segment" else _choose_neighbours(speakers, draws.neighbour)
    sizes = lengths.tolist()
    examples = [
        _prepend_prompt(
            codes[row, : sizes[row]],
            None if source == row else codes[source, : sizes[source]],
            max_frames=max_frames,
            position=float(draws.position[row]),
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
        loss_mask=pad_sequence([example.loss_mask for example in examples], batch_first=True),
    )


def _prefix_prompt(codes: Tensor, lengths: Tensor, prefixes: Tensor) -> PromptedExample:
    """Use the first frames of utterances [B, F, Q] as their prompts."""
    size = codes.size(1)
    return PromptedExample(
        prompted=PromptedCodes(codes=codes, lengths=lengths, prompt_lengths=prefixes),
        loss_mask=sequence_mask(lengths, size) & ~sequence_mask(prefixes, size),
    )


def _prepend_prompt(
    own: Tensor, other: Tensor | None, *, max_frames: int, position: float
) -> PromptedExample:
    """Prepend a segment of another utterance [F', Q], or of the utterance itself, to one [F, Q]."""
    source = own if other is None else other
    available = len(source) if other is not None else max(1, int(MIN_SHARE * len(own)))
    size = min(max_frames, available)
    start = min(int(position * (len(source) - size + 1)), len(source) - size)
    loss_mask = own.new_ones(size + len(own), dtype=torch.bool)
    loss_mask[:size] = False
    if other is None and size < len(own):
        loss_mask[size + start : size + start + size] = False
    return PromptedExample(
        prompted=PromptedCodes(
            codes=torch.cat([source[start : start + size], own]),
            lengths=torch.tensor(size + len(own), device=own.device),
            prompt_lengths=torch.tensor(size, device=own.device),
        ),
        loss_mask=loss_mask,
    )


def _choose_neighbours(speakers: Tensor, draws: Tensor) -> list[int]:
    """Choose another row of the same speaker for each row, or the row itself if there is none."""
    names = speakers.tolist()
    chosen = []
    for row, (speaker, draw) in enumerate(zip(names, draws.tolist(), strict=True)):
        others = [other for other, name in enumerate(names) if name == speaker and other != row]
        chosen.append(others[int(draw * len(others))] if others else row)
    return chosen
