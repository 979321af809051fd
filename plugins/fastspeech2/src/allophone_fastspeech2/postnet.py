"""PostNet: convolutions that refine the mel (Tacotron 2, Shen et al. 2018, section 2.2).

Legend: B batch, F frames, M mel bands.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from allophone_fastspeech2.config import PostnetConfig


class Postnet(nn.Module):
    """Predicts a residual that is added to the mel; tanh follows each layer but the last."""

    def __init__(self, config: PostnetConfig, mels: int) -> None:
        super().__init__()
        sizes = [mels, *[config.channels] * (config.layers - 1), mels]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, after, config.kernel_size, padding=config.kernel_size // 2)
            for before, after in pairwise(sizes)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(size) for size in sizes[1:])
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, mel: Tensor, mask: Tensor | None) -> Tensor:
        """mel [B, M, F], mask [B, F] -> [B, M, F]."""
        hidden = mel
        last = len(self.convolutions) - 1
        for layer, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            if mask is not None:
                hidden = hidden * mask.unsqueeze(1)
            hidden = norm(convolution(hidden))
            hidden = self.dropout(hidden if layer == last else hidden.tanh())
        return hidden
