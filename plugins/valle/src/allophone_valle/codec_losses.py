"""What a codec is trained by.

Legend: B batch, N samples, V bins, F frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_spectrogram

_MELS_OF_WINDOW = 5 / 32
"""Bands for each sample of a window: as fine as its frequency bins allow (Kumar et al. 2023, 3.4)."""


def loss_mels(sizes: Iterable[int], *, sample_rate: int) -> tuple[MelSpec, ...]:
    """The mels of each window length that are compared, all up to half the sample rate."""
    return tuple(
        MelSpec(
            sample_rate=sample_rate,
            n_fft=size,
            win_length=size,
            hop_length=size // 4,
            n_mels=int(size * _MELS_OF_WINDOW),
            magnitude_epsilon=1e-9,
        )
        for size in sizes
    )


def mel_loss(coded: Tensor, recorded: Tensor, specs: Sequence[MelSpec]) -> Tensor:
    """The L1 distance of natural logarithmic mels of waveforms [B, N], averaged over `specs`."""
    distances = [
        functional.l1_loss(mel_spectrogram(coded, spec), mel_spectrogram(recorded, spec))
        for spec in specs
    ]
    return torch.stack(distances).mean()


def perplexity(codes: Tensor, bins: int) -> Tensor:
    """How many codes are in use, by the exponential of the entropy of codes [B, F]: from 1 to V."""
    share = torch.bincount(codes.flatten(), minlength=bins) / codes.numel()
    return torch.special.entr(share).sum().exp()


def discriminator_loss(recorded: Sequence[Tensor], generated: Sequence[Tensor]) -> Tensor:
    """What is recorded should score 1 and what is generated -1, and no more than that counts (3.4)."""
    return _mean(
        functional.relu(1 - real.float()).mean() + functional.relu(1 + fake.float()).mean()
        for real, fake in zip(recorded, generated, strict=True)
    )


def adversarial_loss(generated: Sequence[Tensor]) -> Tensor:
    """What is generated should score 1."""
    return _mean(functional.relu(1 - fake.float()).mean() for fake in generated)


def feature_loss(
    recorded: Sequence[Sequence[Tensor]], generated: Sequence[Sequence[Tensor]]
) -> Tensor:
    """Layers should make the same of both, each relative to what it makes of the recorded."""
    return _mean(
        (seen_real.float() - seen_fake.float()).abs().mean() / seen_real.float().abs().mean()
        for real, fake in zip(recorded, generated, strict=True)
        for seen_real, seen_fake in zip(real, fake, strict=True)
    )


def _mean(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).mean()
