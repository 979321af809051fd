"""The posterior encoder: a spectrogram to the latents it is made of (section 2.5.1).

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
    """What a posterior encoder is shown of recordings."""

    def bins(self, audio: MelSpec) -> int:
        """How many numbers each frame has: K."""
        ...

    def of(self, waveform: Tensor, audio: MelSpec, *, lengths: Tensor | None = None) -> Tensor:
        """waveform [B, N], lengths [B] in samples -> [B, K, F]."""
        ...

    def mel(self, values: Tensor, audio: MelSpec, *, lengths: Tensor | None = None) -> Tensor:
        """The mel [B, M, F] of what `of` gave, [B, K, F]; lengths [B] in frames."""
        ...


class LinearSpectrogram:
    """Magnitudes, as VITS has them."""

    def bins(self, audio: MelSpec) -> int:
        return audio.n_bins

    def of(self, waveform: Tensor, audio: MelSpec, *, lengths: Tensor | None = None) -> Tensor:
        return linear_spectrogram(waveform, audio, lengths=lengths)

    def mel(self, values: Tensor, audio: MelSpec, *, lengths: Tensor | None = None) -> Tensor:
        return mel_from_linear(values, audio, lengths=lengths)


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
