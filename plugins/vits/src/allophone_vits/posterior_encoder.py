"""Posterior encoder q(z | x): a spectrogram to a Gaussian over latents (section 2.5.1).

Legend: B batch, K frequency bins, C latent channels, S speaker channels, F frames,
N samples, M mel bands.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import linear_spectrogram, mel_from_linear
from allophone_vits.config import PosteriorEncoderConfig
from allophone_vits.gaussian import Gaussian
from allophone_vits.layers import masked
from allophone_vits.wavenet import WaveNet


class Spectrogram(Protocol):
    """Input features of a posterior encoder."""

    def bins(self, audio: MelSpec) -> int:
        """Number of bins K."""
        ...

    def from_waveform(
        self, waveform: Tensor, audio: MelSpec, *, lengths: Tensor | None = None
    ) -> Tensor:
        """waveform [B, N], lengths [B] in samples -> [B, K, F]."""
        ...

    def to_mel(self, values: Tensor, audio: MelSpec, *, lengths: Tensor | None = None) -> Tensor:
        """Mel spectrogram [B, M, F] of this spectrogram [B, K, F]; lengths [B] in frames."""
        ...


class LinearSpectrogram:
    """Linear-scale magnitude spectrogram, the input of VITS."""

    def bins(self, audio: MelSpec) -> int:
        return audio.n_bins

    def from_waveform(
        self, waveform: Tensor, audio: MelSpec, *, lengths: Tensor | None = None
    ) -> Tensor:
        return linear_spectrogram(waveform, audio, lengths=lengths)

    def to_mel(self, values: Tensor, audio: MelSpec, *, lengths: Tensor | None = None) -> Tensor:
        return mel_from_linear(values, audio, lengths=lengths)


class PosteriorEncoder(nn.Module):
    """q(z | x): one Gaussian per frame."""

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
