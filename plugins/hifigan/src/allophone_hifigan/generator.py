"""The generator: mel spectrogram to waveform (section 2.2).

Legend: B batch, M mel bands, F frames, N samples.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from allophone_hifigan.channels_last import channels_innermost
from allophone_hifigan.config import HifiganConfig
from allophone_hifigan.upsampling import (
    EDGE_KERNEL_SIZE,
    LAST_SLOPE,
    Stages,
    input_context,
    same_convolution,
)


class Generator(nn.Module):
    """Mels to samples between -1 and 1, `hop_length` samples per frame.

    margin: frames of context on each side that a frame's samples depend on.
    """

    def __init__(self, config: HifiganConfig, *, mels: int) -> None:
        super().__init__()
        self.margin = receptive_margin(config)
        self.input = same_convolution(mels, config.channels, EDGE_KERNEL_SIZE)
        self.stages = Stages(config)
        last_channels = config.channels >> len(config.upsample_rates)
        self.output = same_convolution(last_channels, 1, EDGE_KERNEL_SIZE)

    def forward(self, mel: Tensor) -> Tensor:
        """mel [B, M, F] -> waveform [B, N], float32."""
        hidden = self.stages(self.input(channels_innermost(mel)))
        waveform: Tensor = self.output(functional.leaky_relu(hidden, LAST_SLOPE))
        return waveform.squeeze(1).float().tanh()


def receptive_margin(config: HifiganConfig) -> int:
    """The generator's context in frames on each side of a frame."""
    edge = EDGE_KERNEL_SIZE // 2
    first, last = input_context(config, -edge, config.hop_length - 1 + edge)
    return max(-first, last)
