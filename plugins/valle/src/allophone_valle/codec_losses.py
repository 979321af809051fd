"""Codec losses (Defossez et al. 2022, section 3.4).

Legend: B batch, N samples, V bins, F frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_spectrogram

_MELS_PER_SAMPLE = 5 / 32
"""Mel bands per sample of the window, after Kumar et al. 2023, section 3.4."""


def mel_loss_specs(sizes: Iterable[int], *, sample_rate: int) -> tuple[MelSpec, ...]:
    """Mel settings of each scale of the mel loss, up to the Nyquist frequency."""
    return tuple(
        MelSpec(
            sample_rate=sample_rate,
            n_fft=size,
            win_length=size,
            hop_length=size // 4,
            n_mels=int(size * _MELS_PER_SAMPLE),
            magnitude_epsilon=1e-9,
        )
        for size in sizes
    )


def mel_loss(generated: Tensor, real: Tensor, specs: Sequence[MelSpec]) -> Tensor:
    """Multi-scale mel loss: L1 distance of log mels of waveforms [B, N], averaged over `specs`."""
    distances = [
        functional.l1_loss(mel_spectrogram(generated, spec), mel_spectrogram(real, spec))
        for spec in specs
    ]
    return torch.stack(distances).mean()


def perplexity(codes: Tensor, bins: int) -> Tensor:
    """Codebook perplexity, the exponential of the entropy of codes [B, F]: from 1 to V."""
    probabilities = torch.bincount(codes.flatten(), minlength=bins) / codes.numel()
    return torch.special.entr(probabilities).sum().exp()


def discriminator_loss(real: Sequence[Tensor], generated: Sequence[Tensor]) -> Tensor:
    """Hinge loss of the discriminators on their scores of real and generated audio."""
    return _mean(
        functional.relu(1 - score_real.float()).mean()
        + functional.relu(1 + score_generated.float()).mean()
        for score_real, score_generated in zip(real, generated, strict=True)
    )


def adversarial_loss(generated: Sequence[Tensor]) -> Tensor:
    """Hinge loss of the codec on the discriminators' scores of generated audio."""
    return _mean(functional.relu(1 - score.float()).mean() for score in generated)


def feature_loss(real: Sequence[Sequence[Tensor]], generated: Sequence[Sequence[Tensor]]) -> Tensor:
    """Relative feature matching loss: L1 distance per layer, over the mean magnitude of real features."""
    return _mean(
        (layer_real.float() - layer_generated.float()).abs().mean()
        / layer_real.float().abs().mean()
        for features_real, features_generated in zip(real, generated, strict=True)
        for layer_real, layer_generated in zip(features_real, features_generated, strict=True)
    )


def _mean(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).mean()
