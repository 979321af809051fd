"""Non-causal WaveNet without dilation, as in the posterior encoder and the flow of VITS (van den Oord et
al. 2016).

Legend: B batch, H hidden channels, S speaker channels, F frames.
"""

from __future__ import annotations

from torch import Tensor, nn

from allophone.weights.norm import apply_weight_norm
from allophone_vits.layers import masked, same_convolution


class WaveNet(nn.Module):
    """Gated convolutions with residual connections; returns the sum of the skip connections."""

    def __init__(
        self, channels: int, *, layers: int, kernel_size: int, speaker_channels: int = 0
    ) -> None:
        super().__init__()
        self.channels = channels
        self.gates = nn.ModuleList(
            apply_weight_norm(same_convolution(channels, 2 * channels, kernel_size))
            for _ in range(layers)
        )
        # The last layer has only a skip output, no residual one.
        self.outputs = nn.ModuleList(
            apply_weight_norm(
                nn.Conv1d(channels, channels if layer == layers - 1 else 2 * channels, 1)
            )
            for layer in range(layers)
        )
        self.speaker = (
            apply_weight_norm(nn.Conv1d(speaker_channels, 2 * channels * layers, 1))
            if speaker_channels
            else None
        )

    def forward(self, hidden: Tensor, mask: Tensor | None, speaker: Tensor | None = None) -> Tensor:
        """hidden [B, H, F], mask [B, 1, F], speaker [B, S, 1] -> [B, H, F]."""
        conditions = [None] * len(self.gates)
        if self.speaker is not None:
            conditions = self.speaker(speaker).chunk(len(self.gates), dim=1)
        total: Tensor | None = None
        for convolution, output, condition in zip(
            self.gates, self.outputs, conditions, strict=True
        ):
            gated = convolution(hidden)
            if condition is not None:
                gated = gated + condition
            filtered, gate = gated.chunk(2, dim=1)
            skip = output(filtered.tanh() * gate.sigmoid())
            if skip.size(1) > self.channels:
                residual, skip = skip.chunk(2, dim=1)
                hidden = masked(hidden + residual, mask)
            total = skip if total is None else total + skip
        assert total is not None
        return masked(total, mask)
