"""NAR decoding: predicts the other codebooks one after another, greedily, all frames at once.

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
    """A text and the first codebook, whose other codebooks the NAR model predicts.

    text: [T]. known: [F', Q], leading frames whose codebooks are all known. prompt_length: number of the
    known frames that are the speaker prompt, visible with all codebooks; the others are visible up to the
    predicted stage only, like the frames that follow. first_codebook: [F], of the frames that follow.
    """

    text: Tensor
    known: Tensor
    prompt_length: int
    first_codebook: Tensor


@torch.inference_mode()
def predict_codebooks(model: NarModel, inputs: Sequence[NarInput]) -> list[Tensor]:
    """Predict all codebooks of the frames after the known ones, [F, Q] per row."""
    device = model.tables.device
    text = pad_sequence([row.text for row in inputs], batch_first=True)
    text_lengths = _lengths([row.text for row in inputs], device)
    codes = pad_sequence([_initial_codes(row, model.codebooks) for row in inputs], batch_first=True)
    known = _lengths([row.known for row in inputs], device)
    lengths = known + _lengths([row.first_codebook for row in inputs], device)
    prompt_lengths = torch.tensor([row.prompt_length for row in inputs], device=device)
    is_known = sequence_mask(known, codes.size(1))
    for stage in range(1, model.codebooks):
        prompted = PromptedCodes(codes=codes, lengths=lengths, prompt_lengths=prompt_lengths)
        stages = torch.full_like(lengths, stage)
        predicted = model(text, text_lengths, prompted, stages).argmax(2)
        codes[..., stage] = torch.where(is_known, codes[..., stage], predicted)
    return [
        row[start:end]
        for row, start, end in zip(codes, known.tolist(), lengths.tolist(), strict=True)
    ]


def _lengths(rows: Sequence[Tensor], device: torch.device) -> Tensor:
    return torch.tensor([len(row) for row in rows], device=device)


def _initial_codes(row: NarInput, codebooks: int) -> Tensor:
    """Known codes and the first codebook, [F' + F, Q], with zeros for codes to predict."""
    codes = row.first_codebook.new_zeros(len(row.first_codebook), codebooks)
    codes[:, 0] = row.first_codebook
    return torch.cat([row.known, codes])
