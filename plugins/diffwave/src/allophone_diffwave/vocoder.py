"""DiffWave as the core vocodes with it.

Legend: B batch, M mel bands, F frames, N samples.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.synthesis.protocol import VocoderSpec
from allophone.weights import load_weights, uninitialised
from allophone_diffwave.diffusion import NoiseSchedule
from allophone_diffwave.network import Denoiser
from allophone_diffwave.samplers import FAST_BETAS, ancestral
from allophone_diffwave.sampling import SeededNoise, follow


def build_vocoder(
    spec: VocoderSpec, weights: Mapping[str, Tensor], device: torch.device
) -> DiffwaveVocoder:
    """Make a denoiser's weights ready to be heard.

    Raises ConfigError where its rates do not make the hop of the mels, and UserError for weights that
    do not fit its description.
    """
    spec.vocoder.check_audio(spec.audio)
    with uninitialised():
        denoiser = Denoiser(spec.vocoder, mels=spec.audio.n_mels)
    load_weights(denoiser, weights, where="this vocoder")
    denoiser.to(device).eval().requires_grad_(False)
    return DiffwaveVocoder(denoiser, spec)


class DiffwaveVocoder:
    """A denoiser and the published way in six steps."""

    def __init__(self, denoiser: Denoiser, spec: VocoderSpec) -> None:
        self.audio: MelSpec = spec.audio
        self._denoiser = denoiser
        levels = tuple(reversed(NoiseSchedule.adding(FAST_BETAS).signal))
        self._plan = ancestral(levels, NoiseSchedule.of_training(spec.vocoder.noise))

    @torch.no_grad()
    def vocode(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """mel [B, M, F], lengths [B] in frames -> waveform [B, F * hop_length], zero past lengths."""
        hop_length = self.audio.hop_length
        noise = SeededNoise(seed=0, device=mel.device)
        waveform = mel.new_zeros(len(mel), mel.size(2) * hop_length, dtype=torch.float32)
        for row, frames in enumerate(lengths.tolist()):
            own = mel[row : row + 1, :, :frames].float()
            samples = frames * hop_length

            def denoise(noisy: Tensor, step: float, own: Tensor = own) -> Tensor:
                told = torch.tensor([step], device=noisy.device)
                seen: Tensor = self._denoiser(noisy.unsqueeze(0), own, told)
                return seen.squeeze(0)

            waveform[row, :samples] = follow(self._plan, noise, samples, denoise)
        return waveform
