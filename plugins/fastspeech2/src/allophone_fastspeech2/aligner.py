"""Unsupervised alignment of text and speech, "One TTS Alignment To Rule Them All" (Badlani et al. 2021,
arXiv 2108.10447).

Frames and tokens are compared in a common embedding space. The forward-sum loss maximizes the total
likelihood of all monotonic alignments, a beta-binomial prior near the diagonal helps at the start, and the
most likely alignment gives the durations.

Legend: B batch, T text, F frames, M mel bands, C channels of the common space.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from allophone.alignment import Alignment, monotonic_alignment
from allophone_fastspeech2.config import AlignerConfig
from allophone_fastspeech2.masks import masked_mean, sequence_mask

_MASKED_SCORE = -1e4
"""Score of padding; -inf would make the gradient of the forward-sum loss NaN."""

_BLANK_LOGIT = -1.0
"""Logit of the CTC blank, for frames that belong to no token (section 2.2)."""


class Aligner(nn.Module):
    """Scores each pair of a frame and a token.

    It has its own token embedding, so it is trained by its own losses only.
    """

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

        Scores are log-probabilities of the tokens at each frame plus the log prior, unnormalised.
        """
        text_mask = sequence_mask(token_lengths, tokens.size(1))
        frame_mask = sequence_mask(frame_lengths, mel.size(2))
        embedded = self.embedding(tokens).transpose(1, 2) * text_mask.unsqueeze(1)
        keys = _convolve(self.text, embedded)
        queries = _convolve(self.mel, mel * frame_mask.unsqueeze(1))
        with torch.autocast(mel.device.type, enabled=False):
            keys, queries = keys.float(), queries.float().transpose(1, 2)
            squares = keys.square().sum(1, keepdim=True) + queries.square().sum(2, keepdim=True)
            distances = torch.baddbmm(squares, queries, keys, alpha=-2)
            scores = (-self.temperature * distances).masked_fill(
                ~text_mask.unsqueeze(1), _MASKED_SCORE
            )
            prior = diagonal_prior(token_lengths, frame_lengths, tokens.size(1), mel.size(2))
            return scores.log_softmax(2) + prior


def _convolve(layers: nn.ModuleList, values: Tensor) -> Tensor:
    """Convolutions with ReLU between them."""
    for number, layer in enumerate(layers):
        values = layer(functional.relu(values) if number else values)
    return values


@torch.no_grad()
def diagonal_prior(
    token_lengths: Tensor, frame_lengths: Tensor, tokens: int, frames: int
) -> Tensor:
    """Log beta-binomial prior of the tokens at each frame, [B, frames, tokens] (section 2.2, figure 2).

    At frame f of F (from 1), the token index in 0..n is beta-binomial with n trials, alpha = f and
    beta = F + 1 - f. Values past the lengths are finite but meaningless.
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
    """Logarithm of the beta function."""
    alpha, beta = alpha.float(), beta.float()
    return torch.lgamma(alpha) + torch.lgamma(beta) - torch.lgamma(alpha + beta)


def forward_sum_loss(scores: Tensor, token_lengths: Tensor, frame_lengths: Tensor) -> Tensor:
    """Negative log-likelihood of all monotonic alignments, in nats per token; mean over the batch.

    scores: [B, F, T], output of `Aligner`. Computed as a CTC loss (Graves et al. 2006) whose targets are
    the token positions in order (section 2.1).
    """
    batch, _, tokens = scores.shape
    with torch.autocast(scores.device.type, enabled=False):
        log_probs = functional.pad(scores.float(), (1, 0), value=_BLANK_LOGIT).log_softmax(2)
        targets = torch.arange(1, tokens + 1, device=scores.device).expand(batch, -1)
        return functional.ctc_loss(
            log_probs.transpose(0, 1), targets, frame_lengths, token_lengths, blank=0
        )


def binarisation_loss(scores: Tensor, alignment: Alignment, frame_mask: Tensor) -> Tensor:
    """KL divergence of the hard from the soft alignment, in nats per frame (section 2.4).

    scores [B, F, T], frame_mask [B, F].
    """
    log_probs = scores.float().log_softmax(2).gather(2, alignment.index.unsqueeze(2)).squeeze(2)
    return -masked_mean(log_probs, frame_mask)


@torch.no_grad()
def hard_alignment(scores: Tensor, token_lengths: Tensor, frame_lengths: Tensor) -> Alignment:
    """Find the most likely monotonic alignment: scores [B, F, T], lengths [B].

    Raises UserError as `monotonic_alignment` does.
    """
    return monotonic_alignment(scores.float().contiguous(), frame_lengths, token_lengths)
