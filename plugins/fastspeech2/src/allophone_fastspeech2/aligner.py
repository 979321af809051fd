"""Which frame says which token, learned from pairs of texts and recordings alone.

"One TTS Alignment To Rule Them All" (Badlani et al. 2021, arXiv 2108.10447): frames and tokens are
compared in a common space; the forward-sum loss makes the monotonic paths through the comparison
likely, a prior along the diagonal lets it begin, and the most likely path gives the durations.

Legend: B batch, T text, F frames, M mel bands, C channels of the common space.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from allophone.alignment import Alignment, monotonic_alignment
from allophone_fastspeech2.config import AlignerConfig
from allophone_fastspeech2.masks import masked_mean, sequence_mask

_IMPOSSIBLE = -1e4
"""The score of padding; -inf would make the gradient of the forward sum NaN."""

_BLANK_SCORE = -1.0
"""How likely the CTC loss finds it that a frame belongs to no token (section 2.2)."""


class Aligner(nn.Module):
    """Scores each pair of a token and a frame. It has an embedding of the tokens for itself, so that
    nothing but its own losses moves it."""

    def __init__(self, config: AlignerConfig, *, vocabulary_size: int, mels: int) -> None:
        super().__init__()
        self.temperature = config.temperature
        text, common = config.embedding_channels, config.channels
        self.embedding = nn.Embedding(vocabulary_size, text)
        self.text = nn.ModuleList(
            [nn.Conv1d(text, 2 * text, 3, padding=1), nn.Conv1d(2 * text, common, 1)]
        )
        self.mel = nn.ModuleList(
            [
                nn.Conv1d(mels, 2 * mels, 3, padding=1),
                nn.Conv1d(2 * mels, mels, 1),
                nn.Conv1d(mels, common, 1),
            ]
        )

    def forward(
        self, tokens: Tensor, token_lengths: Tensor, mel: Tensor, frame_lengths: Tensor
    ) -> Tensor:
        """tokens [B, T], mel [B, M, F], lengths [B] -> scores [B, F, T] float32.

        Scores are log-probabilities of the tokens at each frame times the prior, not normalised.
        """
        text_mask = sequence_mask(token_lengths, tokens.size(1))
        frame_mask = sequence_mask(frame_lengths, mel.size(2))
        embedded = self.embedding(tokens).transpose(1, 2) * text_mask.unsqueeze(1)
        keys = _through(self.text, embedded)
        queries = _through(self.mel, mel * frame_mask.unsqueeze(1))
        with torch.autocast(mel.device.type, enabled=False):
            keys, queries = keys.float(), queries.float().transpose(1, 2)
            squares = keys.square().sum(1, keepdim=True) + queries.square().sum(2, keepdim=True)
            distances = torch.baddbmm(squares, queries, keys, alpha=-2)
            scores = (-self.temperature * distances).masked_fill(
                ~text_mask.unsqueeze(1), _IMPOSSIBLE
            )
            prior = diagonal_prior(token_lengths, frame_lengths, tokens.size(1), mel.size(2))
            return scores.log_softmax(2) + prior


def _through(layers: nn.ModuleList, values: Tensor) -> Tensor:
    """Convolutions with rectifiers between them."""
    for number, layer in enumerate(layers):
        values = layer(functional.relu(values) if number else values)
    return values


@torch.no_grad()
def diagonal_prior(
    token_lengths: Tensor, frame_lengths: Tensor, tokens: int, frames: int
) -> Tensor:
    """Log-probabilities [B, frames, tokens] of the tokens at each frame, near the diagonal.

    At the f-th of F frames the token, counted from 0 to n, is beta-binomial with n trials, alpha = f
    and beta = F + 1 - f (section 2.2 and figure 2). Finite, and meaningless, beyond the lengths.
    """
    device = token_lengths.device
    n = (token_lengths - 1).view(-1, 1, 1)
    k = torch.arange(tokens, device=device).expand(1, 1, -1).minimum(n)
    total = (frame_lengths + 1).view(-1, 1, 1)
    alpha = torch.arange(1, frames + 1, device=device).view(1, -1, 1).minimum(total - 1)
    beta = total - alpha
    choose = _log_factorial(n) - _log_factorial(k) - _log_factorial(n - k)
    return choose + _log_beta(k + alpha, n - k + beta) - _log_beta(alpha, beta)


def _log_factorial(number: Tensor) -> Tensor:
    return torch.lgamma(number.float() + 1)


def _log_beta(alpha: Tensor, beta: Tensor) -> Tensor:
    """The logarithm of Euler's beta function."""
    alpha, beta = alpha.float(), beta.float()
    return torch.lgamma(alpha) + torch.lgamma(beta) - torch.lgamma(alpha + beta)


def forward_sum_loss(scores: Tensor, token_lengths: Tensor, frame_lengths: Tensor) -> Tensor:
    """How unlikely all monotonic paths together are: nats a token, the mean of the batch.

    scores: [B, F, T] as `Aligner` gives them. It is a CTC loss (Graves et al. 2006) whose targets are
    the tokens in their order, each another one (section 2.1).
    """
    batch, _, tokens = scores.shape
    with torch.autocast(scores.device.type, enabled=False):
        likely = functional.pad(scores.float(), (1, 0), value=_BLANK_SCORE).log_softmax(2)
        targets = torch.arange(1, tokens + 1, device=scores.device).expand(batch, -1)
        return functional.ctc_loss(
            likely.transpose(0, 1), targets, frame_lengths, token_lengths, blank=0
        )


def binarisation_loss(scores: Tensor, alignment: Alignment, frame_mask: Tensor) -> Tensor:
    """How far the soft alignment is from the hard one: nats a frame (section 2.4).

    scores [B, F, T], frame_mask [B, F].
    """
    chosen = scores.float().log_softmax(2).gather(2, alignment.index.unsqueeze(2)).squeeze(2)
    return -masked_mean(chosen, frame_mask)


@torch.no_grad()
def hard_alignment(scores: Tensor, token_lengths: Tensor, frame_lengths: Tensor) -> Alignment:
    """The most likely monotonic path through scores [B, F, T]. The search runs on the CPU."""
    found = monotonic_alignment(
        scores.float().cpu().contiguous(), frame_lengths.cpu(), token_lengths.cpu()
    )
    return Alignment(
        index=found.index.to(scores.device), durations=found.durations.to(scores.device)
    )
