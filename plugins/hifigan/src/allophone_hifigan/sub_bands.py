"""The sub-band STFT loss of multi-band generators (Yang et al. 2020, section 2.2; Kawamura et al. 2023, section 3.2).

Legend: B batch, D bands, N samples of a band, K frequency bins, F frames.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from allophone.errors import ConfigError

RESOLUTIONS = ((384, 30, 150), (683, 60, 300), (171, 10, 60))
"""FFT sizes, hops and windows of the published loss, in samples of a band."""

_QUIETEST_POWER = 1e-7


def check_segment(samples: int, bands: int) -> None:
    """Raise ConfigError unless a segment of `samples` has enough of each band for the largest FFT."""
    needed = (max(size for size, _, _ in RESOLUTIONS) // 2 + 1) * bands
    if samples < needed:
        raise ConfigError(
            f"trainer.segment_size ({samples}) is too short for the loss of {bands} bands, which needs {needed} "
            "samples",
            hint="Make it longer, or set trainer.sub_band_weight = 0.",
        )


def sub_band_loss(generated: Tensor, real: Tensor) -> Tensor:
    """Spectral convergence plus L1 distance of log magnitudes, means over resolutions.

    generated, real: bands [B, D, N].
    """
    losses = []
    with torch.autocast(generated.device.type, enabled=False):
        both = torch.stack([generated.float(), real.float()]).flatten(0, 2)
        for size, hop_length, window in RESOLUTIONS:
            ours, theirs = _magnitudes(both, size, hop_length, window).chunk(2)
            convergence = (theirs - ours).norm() / theirs.norm()
            losses.append(convergence + functional.l1_loss(ours.log(), theirs.log()))
    return torch.stack(losses).mean()


def _magnitudes(signal: Tensor, size: int, hop_length: int, window: int) -> Tensor:
    """[B, N] -> [B, K, F]."""
    spectrum = torch.stft(
        signal,
        size,
        hop_length,
        win_length=window,
        window=torch.hann_window(window, device=signal.device),
        return_complex=True,
    )
    return torch.view_as_real(spectrum).square().sum(-1).clamp_min(_QUIETEST_POWER).sqrt()
