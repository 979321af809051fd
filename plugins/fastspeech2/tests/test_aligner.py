"""The aligner, against naive implementations and on synthetic data with known alignments.

Legend: B batch, T text, F frames, M mel bands.
"""

from __future__ import annotations

import math

import pytest
import torch
from attrs import evolve
from torch import Tensor
from torch.nn import functional

from allophone.alignment import Alignment
from allophone.errors import UserError
from allophone_fastspeech2.aligner import (
    Aligner,
    binarisation_loss,
    diagonal_prior,
    forward_sum_loss,
    hard_alignment,
)
from allophone_fastspeech2.config import AlignerConfig
from allophone_fastspeech2.length_regulator import frame_to_token
from allophone_fastspeech2.masks import sequence_mask

SMALL = AlignerConfig(embedding_channels=8, channels=8)
LENGTHS = (torch.tensor([5, 3]), torch.tensor([20, 12]))


def random_scores() -> Tensor:
    """Scores of an untrained aligner, [2, 20, 5], padded past LENGTHS."""
    torch.manual_seed(0)
    aligner = Aligner(evolve(SMALL, temperature=1.0), vocabulary_size=9, mels=4)
    tokens, frames = LENGTHS
    scores: Tensor = aligner(torch.randint(9, (2, 5)), tokens, torch.randn(2, 4, 20), frames)
    return scores.detach().requires_grad_()


def test_prior_is_beta_binomial() -> None:
    tokens, frames = torch.tensor([6, 1, 4]), torch.tensor([15, 7, 4])
    prior = diagonal_prior(tokens, frames, 6, 15).exp()
    assert prior.isfinite().all()
    for row, (n, total) in enumerate(zip((5, 0, 3), (15, 7, 4), strict=True)):
        for f in range(total):
            for k in range(n + 1):
                a, b = f + 1, total - f
                expected = math.comb(n, k) * math.exp(
                    math.lgamma(k + a)
                    + math.lgamma(n - k + b)
                    - math.lgamma(n + a + b)
                    - (math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b))
                )
                assert float(prior[row, f, k]) == pytest.approx(expected, rel=1e-3)
            assert float(prior[row, f, : n + 1].sum()) == pytest.approx(1, rel=1e-3)


def test_forward_sum_loss_does_not_depend_on_batching() -> None:
    scores = random_scores()
    loss = forward_sum_loss(scores, *LENGTHS)
    alone = []
    for row, (tokens, frames) in enumerate(zip(*(each.tolist() for each in LENGTHS), strict=True)):
        cut = functional.pad(scores[row, :frames, :tokens], (1, 0), value=-1.0).log_softmax(1)
        nats = functional.ctc_loss(
            cut.unsqueeze(1),
            torch.arange(1, tokens + 1).unsqueeze(0),
            torch.tensor([frames]),
            torch.tensor([tokens]),
            reduction="sum",
        )
        alone.append(nats / tokens)
    expected = torch.stack(alone).mean()
    torch.testing.assert_close(loss, expected)
    gradients = [torch.autograd.grad(each, scores)[0] for each in (loss, expected)]
    torch.testing.assert_close(*gradients)
    assert gradients[0].isfinite().all()


def test_binarisation_loss() -> None:
    scores = random_scores()
    hard = hard_alignment(scores, *LENGTHS)
    mask = sequence_mask(LENGTHS[1], 20)
    loss = binarisation_loss(scores, hard, mask)
    soft = scores.detach().softmax(2)
    expected = [
        -float(soft[row, frame, hard.index[row, frame]].log())
        for row, frames in enumerate(LENGTHS[1].tolist())
        for frame in range(frames)
    ]
    assert float(loss.detach()) == pytest.approx(sum(expected) / len(expected), rel=1e-4)
    (gradient,) = torch.autograd.grad(loss, scores)
    assert not gradient[1, 12:].any()


def test_padding_has_no_effect() -> None:
    torch.manual_seed(0)
    aligner = Aligner(SMALL, vocabulary_size=9, mels=4)
    tokens, mel = torch.randint(9, (2, 5)), torch.randn(2, 4, 20)
    batched = aligner(tokens, LENGTHS[0], mel, LENGTHS[1])
    alone = aligner(tokens[1:, :3], LENGTHS[0][1:], mel[1:, :, :12], LENGTHS[1][1:])
    torch.testing.assert_close(batched[1, :12, :3], alone[0], rtol=1e-5, atol=1e-4)


def test_more_tokens_than_frames_is_an_error() -> None:
    with pytest.raises(UserError, match="more tokens than frames"):
        hard_alignment(torch.zeros(1, 2, 3), torch.tensor([3]), torch.tensor([2]))


def synthetic(batch: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Random texts, and mels with one spectrum per symbol: tokens, mel, durations and lengths."""
    spectra = torch.randn(12, 10, generator=torch.Generator().manual_seed(1))
    lengths = torch.randint(8, 13, (batch,))
    mask = sequence_mask(lengths, 12)
    # Adjacent tokens differ: a boundary between equal ones is undefined.
    tokens = torch.randint(1, 12, (batch, 12)).cumsum(1) % 12 * mask
    durations = torch.randint(1, 17, (batch, 12)) * mask
    frames = durations.sum(1)
    index = frame_to_token(durations, int(frames.max()))
    mel = spectra[tokens.gather(1, index)] + 0.3 * torch.randn(*index.shape, 10)
    mel = mel * sequence_mask(frames, mel.size(1)).unsqueeze(2)
    return tokens, mel.transpose(1, 2), durations, lengths, frames


def mean_error(found: Alignment, durations: Tensor, lengths: Tensor) -> float:
    """Mean error of the boundaries inside the utterances, in frames."""
    error = (found.durations.cumsum(1) - durations.cumsum(1)).abs()
    inside = sequence_mask(lengths - 1, error.size(1))
    return float((error * inside).sum() / inside.sum())


def test_training_finds_the_boundaries() -> None:
    torch.manual_seed(0)
    aligner = Aligner(
        AlignerConfig(embedding_channels=16, channels=16), vocabulary_size=12, mels=10
    )
    optimizer = torch.optim.Adam(aligner.parameters(), lr=5e-3)
    tokens, mel, durations, lengths, frames = synthetic(16)
    before = mean_error(
        hard_alignment(aligner(tokens, lengths, mel, frames), lengths, frames), durations, lengths
    )
    for step in range(150):
        ids, mels, _, id_lengths, mel_lengths = synthetic(8)
        scores = aligner(ids, id_lengths, mels, mel_lengths)
        loss = forward_sum_loss(scores, id_lengths, mel_lengths)
        if step > 75:
            mask = sequence_mask(mel_lengths, mels.size(2))
            hard = hard_alignment(scores, id_lengths, mel_lengths)
            loss = loss + binarisation_loss(scores, hard, mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = mean_error(
        hard_alignment(aligner(tokens, lengths, mel, frames), lengths, frames), durations, lengths
    )
    assert before > 4
    assert after < 0.5
