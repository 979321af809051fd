"""The vocoder interface of Vocos: mels to waveforms, whole or in chunks.

Legend: B batch, M mel bands, F frames, N samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.inference.protocol import VocoderSpec
from allophone.synthesis.chunks import chunk_sizes
from allophone.weights.loading import load_weights
from allophone_vocos.network import Vocos

CHUNK_FRAMES = 640
"""Frames per chunk: the context on both sides then adds a tenth of the work."""


def build_vocoder(
    spec: VocoderSpec, weights: Mapping[str, Tensor], device: torch.device
) -> VocosVocoder:
    """Build a vocoder from a generator's weights.

    Raises ConfigError if the inverse STFT does not fit the hop length, and UserError if the weights do not match
    the configuration.
    """
    spec.vocoder.check_audio(spec.audio)
    generator = Vocos(spec.vocoder, in_channels=spec.audio.n_mels, hop_length=spec.audio.hop_length)
    load_weights(generator, weights, where="this vocoder")
    return VocosVocoder(generator.to(device).eval().requires_grad_(False), spec.audio)


class VocosVocoder:
    """A generator that processes mels in chunks with context.

    So a stream joins to the whole, and an utterance is the same in any batch.
    """

    def __init__(self, generator: Vocos, audio: MelSpec) -> None:
        self.audio = audio
        self._generator = generator

    def vocode(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """mel [B, M, F], lengths [B] in frames -> waveform [B, F * hop_length], zero past lengths."""
        waveform = mel.new_zeros(len(mel), mel.size(2) * self.audio.hop_length, dtype=torch.float32)
        for row, frames in enumerate(lengths.tolist()):
            spoken = torch.cat(list(self.stream(mel[row : row + 1, :, :frames])))
            waveform[row, : len(spoken)] = spoken
        return waveform

    @torch.no_grad()
    def stream(self, mel: Tensor) -> Iterator[Tensor]:
        """Yield the chunks [N] of one mel [1, M, F]."""
        hop_length, margin = self.audio.hop_length, self._generator.margin
        start = 0
        for frames in chunk_sizes(mel.size(2), usual=CHUNK_FRAMES):
            first = max(0, start - margin)
            around = mel[:, :, first : start + frames + margin].float()
            begin = (start - first) * hop_length
            yield self._generator(around)[0, begin : begin + frames * hop_length]
            start += frames
