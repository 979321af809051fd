"""The posterior encoder: a linear spectrogram to the latents it is made of (section 2.5.1).

Legend: B batch, K frequency bins, C latent channels, S speaker channels, F frames.
"""

from __future__ import annotations

from torch import Tensor, nn

from allophone_vits.config import PosteriorEncoderConfig
from allophone_vits.gaussian import Gaussian
from allophone_vits.layers import masked
from allophone_vits.wavenet import WaveNet


class PosteriorEncoder(nn.Module):
    """q(z | spectrogram): one Gaussian a frame."""

    def __init__(
        self,
        config: PosteriorEncoderConfig,
        *,
        bins: int,
        latent_channels: int,
        speaker_channels: int = 0,
    ) -> None:
        super().__init__()
        self.input = nn.Conv1d(bins, config.hidden_channels, 1)
        self.wavenet = WaveNet(
            config.hidden_channels,
            layers=config.layers,
            kernel_size=config.kernel_size,
            speaker_channels=speaker_channels,
        )
        self.output = nn.Conv1d(config.hidden_channels, 2 * latent_channels, 1)

    def forward(
        self, spectrogram: Tensor, mask: Tensor | None, speaker: Tensor | None = None
    ) -> Gaussian:
        """spectrogram [B, K, F], mask [B, 1, F], speaker [B, S, 1] -> Gaussian [B, C, F]."""
        hidden = self.wavenet(masked(self.input(spectrogram), mask), mask, speaker)
        return Gaussian.from_statistics(masked(self.output(hidden), mask))
