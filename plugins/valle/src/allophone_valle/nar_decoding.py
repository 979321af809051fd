"""From the first codebook to all: each codebook of all frames at once, the likeliest code of each.

Wang et al. 2023, section 4.2.2. Legend: B batch, T text, F frames, Q codebooks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from attrs import frozen
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from allophone_valle.masks import sequence_mask
from allophone_valle.nar import NarModel, PromptedCodes


@frozen(kw_only=True, eq=False)
class NarInput:
    """What the NAR model completes: a row of which the first codebook is known.

    text: [T]. known: [F', Q], frames at the beginning of which all codebooks are known; the first
    `prompt_length` of them tell the model of the speaker with all of their codebooks, the others only
    with those below a stage, as the frames that follow. first: [F], the first codebook of those.
    """

    text: Tensor
    known: Tensor
    prompt_length: int
    first: Tensor


@torch.inference_mode()
def predict_codebooks(model: NarModel, inputs: Sequence[NarInput]) -> list[Tensor]:
    """All codebooks of each row's frames after the known ones: [F, Q]."""
    device = model.tables.device
    text = pad_sequence([row.text for row in inputs], batch_first=True)
    text_lengths = _lengths([row.text for row in inputs], device)
    codes = pad_sequence([_whole(row, model.codebooks) for row in inputs], batch_first=True)
    known = _lengths([row.known for row in inputs], device)
    lengths = known + _lengths([row.first for row in inputs], device)
    prompt_lengths = torch.tensor([row.prompt_length for row in inputs], device=device)
    is_known = sequence_mask(known, codes.size(1))
    for stage in range(1, model.codebooks):
        spoken = PromptedCodes(codes=codes, lengths=lengths, prompt_lengths=prompt_lengths)
        stages = torch.full_like(lengths, stage)
        likeliest = model(text, text_lengths, spoken, stages).argmax(2)
        codes[..., stage] = torch.where(is_known, codes[..., stage], likeliest)
    return [
        row[start:end]
        for row, start, end in zip(codes, known.tolist(), lengths.tolist(), strict=True)
    ]


def _lengths(rows: Sequence[Tensor], device: torch.device) -> Tensor:
    return torch.tensor([len(row) for row in rows], device=device)


def _whole(row: NarInput, codebooks: int) -> Tensor:
    """What is known of a row: [F' + F, Q], zeros where nothing is."""
    follows = row.first.new_zeros(len(row.first), codebooks)
    follows[:, 0] = row.first
    return torch.cat([row.known, follows])
