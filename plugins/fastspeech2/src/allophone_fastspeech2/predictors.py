"""Variance predictor: one scalar per position, a duration, pitch or energy (section 2.3).

Legend: B batch, L positions (text or frames), H hidden channels.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from allophone_fastspeech2.config import PredictorConfig
from allophone_fastspeech2.masks import masked


class Predictor(nn.Module):
    """Two convolutions, each followed by ReLU, layer norm and dropout, then a linear layer."""

    def __init__(self, config: PredictorConfig, channels: int) -> None:
        super().__init__()
        padding = config.kernel_size // 2
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, config.channels, config.kernel_size, padding=padding)
            for before in (channels, config.channels)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(config.channels) for _ in self.convolutions)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.channels, 1)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """hidden [B, L, H], mask [B, L] -> [B, L] float32, zero where the mask is false."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            filtered = convolution(masked(hidden, mask).transpose(1, 2)).transpose(1, 2)
            hidden = self.dropout(norm(functional.relu(filtered)))
        return masked(self.output(hidden), mask).squeeze(2).float()
