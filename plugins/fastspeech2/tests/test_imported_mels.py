"""Mels of imported voices."""

from __future__ import annotations

import torch

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_spectrogram


def test_mels_of_the_reference_match_hifigan() -> None:
    """Centred frames without epsilon equal HiFi-GAN's frames of the same audio delayed by half a hop."""
    draw = torch.Generator().manual_seed(0)
    seconds = torch.arange(22050) / 22050
    tone = sum(torch.sin(2 * torch.pi * 150 * number * seconds) / number for number in range(1, 9))
    loudness = torch.sin(2 * torch.pi * 1.5 * seconds).clamp(min=0) / 8
    noise = torch.randn(22050, generator=draw) * 1e-4
    sound = (tone * loudness + noise).unsqueeze(0)
    centred = mel_spectrogram(sound, MelSpec(f_max=8000.0, center=True, magnitude_epsilon=0.0))
    delayed = mel_spectrogram(
        torch.nn.functional.pad(sound, (128, 0)), MelSpec(f_max=8000.0, magnitude_epsilon=1e-9)
    )
    # The frames differ at the edges, which are reflected.
    reference, ours = centred[0, :, 4:-4], delayed[0, :, 4 : centred.size(2) - 4]
    assert reference.std() > 1
    torch.testing.assert_close(ours, reference, rtol=0, atol=0.1)
    assert (ours - reference).abs().mean() < 1e-3
