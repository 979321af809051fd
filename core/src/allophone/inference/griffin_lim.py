"""Griffin-Lim: converts mel spectrograms to waveforms without training (Griffin and Lim 1984).

The steps of `MelSpec` are inverted one by one: logarithm, filter bank, power. The filter bank is inverted
with non-negative values, by multiplicative updates (Lee and Seung 2001) starting from the pseudo-inverse.
The phase is estimated by alternating between spectrogram and waveform, with the momentum of Perraudin et al.
(2013).

B batch, M mels, K frequency bins, F frames, N samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_filters
from allophone.inference.config import GriffinLimConfig
from allophone.inference.protocol import VocoderSpec

_TINY = 1e-8
_UPDATES = 30
"""Multiplicative updates to invert the filter bank; they reproduce mels of speech within a few percent."""


class GriffinLim:
    """A vocoder for mels of `audio`; implements `allophone.inference.protocol.Vocoder`."""

    def __init__(self, config: GriffinLimConfig, audio: MelSpec, device: torch.device) -> None:
        self.config = config
        self.audio = audio
        self.window = torch.hann_window(audio.win_length, device=device)
        if audio.win_length < audio.n_fft:
            before = (audio.n_fft - audio.win_length) // 2
            self.window = functional.pad(
                self.window, (before, audio.n_fft - audio.win_length - before)
            )
        self.filters = mel_filters(audio, device)
        self.inverse_filters = torch.linalg.pinv(self.filters)

    def vocode(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """mel [B, M, F], lengths [B] in frames -> waveform [B, F * hop_length], zero past lengths."""
        hop_length = self.audio.hop_length
        waveform = mel.new_zeros(len(mel), mel.size(2) * hop_length, dtype=torch.float32)
        # Row by row, so that the random phases of an utterance do not depend on the batch.
        for row, one, frames in zip(waveform, mel, lengths.tolist(), strict=True):
            row[: frames * hop_length] = self._invert(self._magnitude(one[:, :frames].float()))
        return waveform

    def _magnitude(self, mel: Tensor) -> Tensor:
        """Invert steps 3 to 5 of `MelSpec`: [M, F] -> magnitudes [K, F]."""
        audio = self.audio
        if audio.log_base != "none":
            base = math.e if audio.log_base == "e" else float(audio.log_base)
            mel = base ** ((mel - audio.log_offset) / audio.log_gain)
        else:
            mel = (mel - audio.log_offset) / audio.log_gain
        linear = self._invert_filters(mel) ** (1 / audio.power)
        magnitude = (linear.square() - audio.magnitude_epsilon).clamp_min(0).sqrt()
        return magnitude * self.window.norm() if audio.normalize_window else magnitude

    def _invert_filters(self, mel: Tensor) -> Tensor:
        """Find a non-negative [K, F] whose filter bank output approximates mel [M, F]."""
        linear = (self.inverse_filters @ mel).clamp_min(_TINY)
        back = self.filters.transpose(0, 1)
        wanted = back @ mel
        for _ in range(_UPDATES):
            linear = linear * wanted / (back @ (self.filters @ linear)).clamp_min(_TINY**2)
        return linear

    def _invert(self, magnitude: Tensor) -> Tensor:
        """Magnitudes [K, F] -> samples [N]. The initial phases are random, with a fixed seed."""
        generator = torch.Generator().manual_seed(0)
        angles = torch.rand(magnitude.shape, generator=generator).to(magnitude.device)
        spectrum = torch.polar(magnitude, 2 * math.pi * angles)
        previous = torch.zeros_like(spectrum)
        for _ in range(self.config.iterations):
            rebuilt = self._stft(self._overlap_add(spectrum))
            accelerated = rebuilt + self.config.momentum * (rebuilt - previous)
            spectrum = magnitude * accelerated / accelerated.abs().clamp_min(_TINY)
            previous = rebuilt
        return self._crop(self._overlap_add(spectrum), frames=magnitude.size(1))

    def _stft(self, padded: Tensor) -> Tensor:
        frames = padded.unfold(0, self.audio.n_fft, self.audio.hop_length)
        return torch.fft.rfft(frames * self.window).transpose(0, 1)

    def _overlap_add(self, spectrum: Tensor) -> Tensor:
        """[K, F] -> padded signal [(F - 1) * hop + n_fft], the least-squares inverse of the STFT."""
        frames = torch.fft.irfft(spectrum.transpose(0, 1), n=self.audio.n_fft) * self.window
        weight = self._fold(self.window.square().expand(frames.shape))
        return self._fold(frames) / weight.clamp_min(_TINY)

    def _fold(self, frames: Tensor) -> Tensor:
        length = (len(frames) - 1) * self.audio.hop_length + self.audio.n_fft
        return functional.fold(
            frames.transpose(0, 1)[None],
            output_size=(1, length),
            kernel_size=(1, self.audio.n_fft),
            stride=(1, self.audio.hop_length),
        ).flatten()

    def _crop(self, padded: Tensor, frames: int) -> Tensor:
        """Remove the padding, leaving hop_length samples per frame."""
        start, length = self.audio.pad_length, frames * self.audio.hop_length
        kept = padded[start : start + length]
        return functional.pad(kept, (0, length - len(kept)))


def build(spec: VocoderSpec, weights: Mapping[str, Tensor], device: torch.device) -> GriffinLim:
    """Build the vocoder, as `VocoderEntry.vocoder` requires; `weights` is empty."""
    del weights
    return GriffinLim(spec.vocoder, spec.audio, device)
