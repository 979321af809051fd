"""The generator of Vocos: frames to samples (Siuzdak 2023, section 3).

Every layer but the last works at the rate of frames; the inverse STFT does what other vocoders learn
to do by transposed convolutions.

Legend: B batch, C channels, H hidden channels, S speaker channels, F frames, N samples.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from allophone_vocos.activation import gelu
from allophone_vocos.config import VocosConfig
from allophone_vocos.inverse_stft import InverseStft

EPSILON = 1e-6
LARGEST_MAGNITUDE = 100.0


class ConvNextBlock(nn.Module):
    """Depthwise convolution, then two linear layers for each frame (Liu et al. 2022, in one dimension)."""

    def __init__(self, channels: int, hidden: int, kernel_size: int, *, scale: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(
            channels, channels, kernel_size, padding=kernel_size // 2, groups=channels
        )
        self.norm = nn.LayerNorm(channels, eps=EPSILON)
        self.expand = nn.Linear(channels, hidden)
        self.project = nn.Linear(hidden, channels)
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, frames: Tensor, mask: Tensor | None) -> Tensor:
        """frames [B, F, C], mask [B, F, 1] -> [B, F, C]; values outside the mask are undefined."""
        inside = frames if mask is None else frames * mask
        change = self.norm(self.depthwise(inside.transpose(1, 2)).transpose(1, 2))
        change = self.project(gelu(self.expand(change)))
        return frames + self.scale * change


class Vocos(nn.Module):
    """Frames of features, such as a mel or latents, to samples, `hop_length` per frame.

    in_channels: of the features; speaker_channels: of the speaker embedding, 0 for none.
    margin: frames of context on each side that a frame's samples depend on.
    """

    def __init__(
        self, config: VocosConfig, *, in_channels: int, hop_length: int, speaker_channels: int = 0
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.hop_length = hop_length
        channels, kernel = config.channels, config.kernel_size
        self.embed = nn.Conv1d(in_channels, channels, kernel, padding=kernel // 2)
        self.condition = nn.Conv1d(speaker_channels, channels, 1) if speaker_channels else None
        self.norm = nn.LayerNorm(channels, eps=EPSILON)
        self.blocks = nn.ModuleList(
            ConvNextBlock(channels, config.feed_forward_channels, kernel, scale=1 / config.blocks)
            for _ in range(config.blocks)
        )
        self.last_norm = nn.LayerNorm(channels, eps=EPSILON)
        self.output = nn.Linear(channels, config.n_fft + 2)
        self.inverse = InverseStft(config.n_fft, hop_length)
        self.margin = kernel // 2 * (config.blocks + 1) + self.inverse.margin
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(
        self, features: Tensor, mask: Tensor | None = None, speaker: Tensor | None = None
    ) -> Tensor:
        """features [B, C, F], mask [B, 1, F], speaker [B, S, 1] -> waveform [B, N], float32.

        With a mask, an utterance's samples do not depend on its padding. Computes in the dtype of the
        weights, the inverse STFT in float32.
        """
        precision = self.output.weight.dtype
        features = features.to(precision)
        hidden = self.embed(features if mask is None else features * mask)
        if self.condition is not None and speaker is not None:
            hidden = hidden + self.condition(speaker.to(precision))
        frames = self.norm(hidden.transpose(1, 2))
        columns = None if mask is None else mask.transpose(1, 2)
        for block in self.blocks:
            frames = block(frames, columns)
        spectrum = self.output(self.last_norm(frames))
        with torch.autocast(spectrum.device.type, enabled=False):
            log_magnitude, phase = spectrum.float().chunk(2, dim=2)
            magnitude = log_magnitude.exp().clamp(max=LARGEST_MAGNITUDE)
            waveform: Tensor = self.inverse(
                magnitude * phase.cos(),
                magnitude * phase.sin(),
                None if mask is None else mask.squeeze(1),
            )
        if mask is None:
            return waveform
        return waveform * mask.squeeze(1).repeat_interleave(self.hop_length, dim=1)
