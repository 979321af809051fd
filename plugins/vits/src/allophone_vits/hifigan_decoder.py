"""The decoder "hifigan": latents to a waveform with the HiFi-GAN generator (Kong et al. 2020; VITS, section 2.5.3).

Legend: B batch, C latent channels, S speaker channels, F frames, N samples.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from allophone_hifigan.channels_last import Convolution
from allophone_hifigan.config import HifiganConfig
from allophone_hifigan.generator import receptive_margin
from allophone_hifigan.upsampling import EDGE_KERNEL_SIZE, LAST_SLOPE, Stages
from allophone_vits.layers import masked


class HifiganDecoder(nn.Module):
    """Latents to samples in [-1, 1], `hop_length` per frame.

    Unlike the vocoder's, its first and last convolutions are not weight-normed, and the last has no bias.

    margin: frames of context on each side that a frame's samples depend on.
    """

    def __init__(
        self, config: HifiganConfig, *, latent_channels: int, speaker_channels: int = 0
    ) -> None:
        super().__init__()
        self.in_channels = latent_channels
        self.hop_length = config.hop_length
        self.margin = receptive_margin(config)
        edge = EDGE_KERNEL_SIZE // 2
        self.input = Convolution(latent_channels, config.channels, EDGE_KERNEL_SIZE, padding=edge)
        self.speaker = nn.Conv1d(speaker_channels, config.channels, 1) if speaker_channels else None
        self.stages = Stages(config)
        last_channels = config.channels >> len(config.upsample_rates)
        self.output = Convolution(last_channels, 1, EDGE_KERNEL_SIZE, padding=edge, bias=False)

    def forward(
        self, latent: Tensor, mask: Tensor | None = None, speaker: Tensor | None = None
    ) -> Tensor:
        """latent [B, C, F], mask [B, 1, F], speaker [B, S, 1] -> waveform [B, N], float32.

        With a mask, an utterance's samples do not depend on its padding. Computes in the dtype of the
        weights.
        """
        precision = self.input.weight.dtype
        hidden = self.input(masked(latent.to(precision), mask))
        if self.speaker is not None and speaker is not None:
            hidden = hidden + self.speaker(speaker.to(precision))
        hidden = self.stages(masked(hidden, mask), mask)
        waveform = self.output(functional.leaky_relu(hidden, LAST_SLOPE)).squeeze(1)
        if mask is not None:
            mask = torch.repeat_interleave(mask.squeeze(1), self.hop_length, dim=1)
        return masked(waveform.float().tanh(), mask)
