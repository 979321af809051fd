"""Spectral losses of waveforms, at several window sizes.

Legend: B batch, N samples, K frequency bins, F frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from attrs import frozen
from torch import Tensor
from torch.nn import functional

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_from_linear
from allophone_vocos.config import SpectralLossConfig

QUIETEST = 1e-5
"""Limit of magnitudes before the logarithm."""


@frozen(kw_only=True)
class SpectralDistances:
    """mel: L1 distance of log-mels; stft: spectral convergence plus L1 distance of log magnitudes; means of sizes."""

    mel: Tensor
    stft: Tensor


class SpectralLoss:
    """Compares waveforms at the window sizes of a config; one STFT serves both distances."""

    def __init__(self, config: SpectralLossConfig, *, sample_rate: int) -> None:
        self._config = config
        largest = max(config.sizes)
        self._specs = {
            size: MelSpec(
                sample_rate=sample_rate,
                n_fft=size,
                win_length=size,
                hop_length=size // 4,
                n_mels=max(8, round(config.mels * (size / largest) ** 0.5)),
                f_min=0.0,
                f_max=None,
                log_floor=QUIETEST,
            )
            for size in config.sizes
        }

    def drawn_sizes(self) -> list[int]:
        """The sizes of a training step, at random."""
        order = torch.randperm(len(self._config.sizes))[: self._config.per_step]
        return [self._config.sizes[index] for index in order.tolist()]

    def __call__(
        self, generated: Tensor, real: Tensor, sizes: Sequence[int] | None = None
    ) -> SpectralDistances:
        """generated, real [B, N]; sizes: of the config's, all by default."""
        mels, stfts = [], []
        with torch.autocast(generated.device.type, enabled=False):
            both = torch.cat([generated.float(), real.float()])
            for size in sizes or self._config.sizes:
                magnitude = spectrum_magnitude(both, size)
                mel = mel_from_linear(magnitude, self._specs[size])
                mels.append(functional.l1_loss(*mel.chunk(2)))
                ours, theirs = magnitude.chunk(2)
                convergence = (theirs - ours).norm() / theirs.norm().clamp_min(QUIETEST)
                log = magnitude.clamp_min(QUIETEST).log()
                stfts.append(convergence + functional.l1_loss(*log.chunk(2)))
        return SpectralDistances(mel=torch.stack(mels).mean(), stft=torch.stack(stfts).mean())

    def weighted(self, distances: SpectralDistances) -> Tensor:
        """The loss, with the weights of the config."""
        return (
            self._config.mel_weight * distances.mel + self._config.stft_weight * distances.stft
        )


def complex_spectrum(waveform: Tensor, size: int) -> Tensor:
    """STFT with a Hann window of `size` samples and a hop of a quarter: [B, N] -> complex [B, K, F]."""
    window = torch.hann_window(size, device=waveform.device)
    return torch.stft(
        waveform, size, size // 4, window=window, center=True, pad_mode="reflect", return_complex=True
    )


def spectrum_magnitude(waveform: Tensor, size: int) -> Tensor:
    """Magnitudes of `complex_spectrum`, [B, K, F], with finite gradients at zero."""
    spectrum = torch.view_as_real(complex_spectrum(waveform, size))
    return (spectrum.square().sum(-1) + 1e-9).sqrt()
