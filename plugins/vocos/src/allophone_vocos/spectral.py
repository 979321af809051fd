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

COMPRESSION = 0.3
"""Exponent of the magnitudes of compressed spectra."""

_FAINT = 1e-4
"""Power below which a phase counts for less, so that gradients stay finite."""


@frozen(kw_only=True)
class SpectralDistances:
    """Means over window sizes.

    mel: L1 distance of log-mels; stft: spectral convergence plus L1 distance of log magnitudes.
    phase: L1 distance of complex spectra that both have the real one's compressed magnitudes; None if its weight is 0.
    """

    mel: Tensor
    stft: Tensor
    phase: Tensor | None

    def named(self) -> dict[str, Tensor]:
        """The distances by the names of metrics."""
        found = {"mel_loss": self.mel, "stft_loss": self.stft}
        return found if self.phase is None else {**found, "phase_loss": self.phase}


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
        mels, stfts, phases = [], [], []
        with torch.autocast(generated.device.type, enabled=False):
            both = torch.cat([generated.float(), real.float()])
            for size in sizes or self._config.sizes:
                spectrum = complex_spectrum(both, size)
                power = spectrum.square().sum(-1) + 1e-9
                magnitude = power.sqrt()
                mel = mel_from_linear(magnitude, self._specs[size])
                mels.append(_distance(mel))
                ours, theirs = magnitude.chunk(2)
                convergence = (theirs - ours).norm() / theirs.norm().clamp_min(QUIETEST)
                stfts.append(convergence + _distance(magnitude.clamp_min(QUIETEST).log()))
                if self._config.phase_weight:
                    phases.append(_phase_distance(spectrum, power))
        return SpectralDistances(
            mel=torch.stack(mels).mean(),
            stft=torch.stack(stfts).mean(),
            phase=torch.stack(phases).mean() if phases else None,
        )

    def weighted(self, distances: SpectralDistances) -> Tensor:
        """The loss, with the weights of the config."""
        config = self._config
        total = config.mel_weight * distances.mel + config.stft_weight * distances.stft
        if distances.phase is None:
            return total
        return total + config.phase_weight * distances.phase


def complex_spectrum(waveform: Tensor, size: int) -> Tensor:
    """STFT with a Hann window of `size` samples and a hop of a quarter: [B, N] -> [B, K, F, 2], real and imaginary."""
    spectrum = torch.stft(
        waveform,
        size,
        size // 4,
        window=torch.hann_window(size, device=waveform.device),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    return torch.view_as_real(spectrum)


def compressed(spectrum: Tensor, power: Tensor) -> Tensor:
    """Raise magnitudes to the power of `COMPRESSION`: spectrum [B, K, F, 2], power [B, K, F] -> [B, K, F, 2].

    So quiet harmonics count nearly as much as loud ones; phases are kept.
    """
    return spectrum * (power.unsqueeze(-1) + 1e-6) ** ((COMPRESSION - 1) / 2)


def _phase_distance(spectrum: Tensor, power: Tensor) -> Tensor:
    """Distance of phases alone, of the first half of a batch from the second, where that one is loud.

    With magnitudes of its own, a generator that cannot know some phases comes closer by being quieter there.
    """
    ours, theirs = (spectrum / (power.unsqueeze(-1) + _FAINT).sqrt()).chunk(2)
    loudness = power.chunk(2)[1].unsqueeze(-1) ** (COMPRESSION / 2)
    return (loudness * (ours - theirs)).abs().mean()


def _distance(both: Tensor) -> Tensor:
    """L1 distance of the first half of a batch from the second."""
    first, second = both.chunk(2)
    return functional.l1_loss(first, second)
