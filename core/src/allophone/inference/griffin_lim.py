"""Griffin-Lim: a waveform for a mel spectrogram without any training (Griffin and Lim 1984).

The mel is undone step by step, as `MelSpec` describes how it was made: logarithm, filter bank, power.
The filter bank's inverse shall not be negative: it begins with the pseudo-inverse and goes on with
multiplicative updates (Lee and Seung 2001). The phase that is missing is found by going back and forth
between spectrogram and waveform, with the momentum of Perraudin et al. (2013).

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
"""Multiplicative updates of the inverse filter bank; the mel of speech is then met to some percent."""


class GriffinLim:
    """The vocoder of mels of `audio`."""

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
        # One by one: an utterance's phases, and so its sound, must not depend on its neighbours.
        for row, one, frames in zip(waveform, mel, lengths.tolist(), strict=True):
            row[: frames * hop_length] = self._invert(self._magnitude(one[:, :frames].float()))
        return waveform

    def _magnitude(self, mel: Tensor) -> Tensor:
        """Undo steps 3 to 5 of `MelSpec`: [M, F] -> magnitudes [K, F]."""
        audio = self.audio
        if audio.log_base != "none":
            base = math.e if audio.log_base == "e" else float(audio.log_base)
            mel = base ** ((mel - audio.log_offset) / audio.log_gain)
        else:
            mel = (mel - audio.log_offset) / audio.log_gain
        linear = self._without_filters(mel) ** (1 / audio.power)
        magnitude = (linear.square() - audio.magnitude_epsilon).clamp_min(0).sqrt()
        return magnitude * self.window.norm() if audio.normalize_window else magnitude

    def _without_filters(self, mel: Tensor) -> Tensor:
        """Non-negative [K, F] of which the filters make nearly this mel [M, F]."""
        linear = (self.inverse_filters @ mel).clamp_min(_TINY)
        back = self.filters.transpose(0, 1)
        wanted = back @ mel
        for _ in range(_UPDATES):
            linear = linear * wanted / (back @ (self.filters @ linear)).clamp_min(_TINY**2)
        return linear

    def _invert(self, magnitude: Tensor) -> Tensor:
        """Magnitudes [K, F] -> samples [N]; the first phases are random, and always the same."""
        generator = torch.Generator().manual_seed(0)
        angles = torch.rand(magnitude.shape, generator=generator).to(magnitude.device)
        spectrum = torch.polar(magnitude, 2 * math.pi * angles)
        previous = torch.zeros_like(spectrum)
        for _ in range(self.config.iterations):
            rebuilt = self._analyse(self._overlap_add(spectrum))
            pushed = rebuilt + self.config.momentum * (rebuilt - previous)
            spectrum = magnitude * pushed / pushed.abs().clamp_min(_TINY)
            previous = rebuilt
        return self._cropped(self._overlap_add(spectrum), frames=magnitude.size(1))

    def _analyse(self, padded: Tensor) -> Tensor:
        frames = padded.unfold(0, self.audio.n_fft, self.audio.hop_length)
        return torch.fft.rfft(frames * self.window).transpose(0, 1)

    def _overlap_add(self, spectrum: Tensor) -> Tensor:
        """[K, F] -> the padded signal [(F - 1) * hop + n_fft] that is nearest in least squares."""
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

    def _cropped(self, padded: Tensor, frames: int) -> Tensor:
        """Without what was padded before the analysis: hop_length samples a frame."""
        start, length = self.audio.pad_length, frames * self.audio.hop_length
        kept = padded[start : start + length]
        return functional.pad(kept, (0, length - len(kept)))


def build(spec: VocoderSpec, weights: Mapping[str, Tensor], device: torch.device) -> GriffinLim:
    """Called by the registry; there are no weights."""
    del weights
    return GriffinLim(spec.vocoder, spec.audio, device)
