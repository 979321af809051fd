"""The vocoder interface of HiFi-GAN and iSTFTNet: mels to waveforms, whole or in chunks.

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
from allophone.weights.norm import fold_weight_norm, for_inference
from allophone_hifigan.channels_last import lay_out_weights
from allophone_hifigan.config import HifiganConfig, IstftConfig
from allophone_hifigan.generator import Generator
from allophone_hifigan.istft import IstftGenerator

CPU_FRAMES = 320
"""Frames per chunk on a CPU; the context then adds less than a tenth of the work."""

GPU_FRAMES = 4096
"""Frames per chunk on other devices: large enough for full utilisation, with bounded memory."""


def build_vocoder(
    spec: VocoderSpec, weights: Mapping[str, Tensor], device: torch.device
) -> HifiganVocoder:
    """Build a vocoder from a generator's weights.

    Raises ConfigError if the upsampling rates do not multiply to the hop length, and UserError if the
    weights do not match the configuration.
    """
    spec.vocoder.check_audio(spec.audio)
    with for_inference():
        generator = build_generator(spec.vocoder, mels=spec.audio.n_mels)
    load_weights(generator, fold_weight_norm(weights), where="this vocoder")
    generator.to(device).eval().requires_grad_(False)
    lay_out_weights(generator)
    return HifiganVocoder(generator, spec.audio)


def build_generator(
    config: HifiganConfig | IstftConfig, *, mels: int
) -> Generator | IstftGenerator:
    """Build the generator of a config: mels [B, M, F] to samples [B, N]."""
    if isinstance(config, IstftConfig):
        return IstftGenerator(config, in_channels=mels)
    return Generator(config, mels=mels)


class HifiganVocoder:
    """A generator that processes mels in chunks with context.

    So a stream joins to the whole, and an utterance is the same in any batch.
    """

    def __init__(self, generator: Generator | IstftGenerator, audio: MelSpec) -> None:
        self.audio = audio
        self._generator = generator

    def vocode(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """mel [B, M, F], lengths [B] in frames -> waveform [B, F * hop_length], zero past lengths."""
        hop_length = self.audio.hop_length
        waveform = mel.new_zeros(len(mel), mel.size(2) * hop_length, dtype=torch.float32)
        for row, frames in enumerate(lengths.tolist()):
            start = 0
            for chunk in self.stream(mel[row : row + 1, :, :frames]):
                waveform[row, start : start + len(chunk)] = chunk
                start += len(chunk)
        return waveform

    @torch.no_grad()
    def stream(self, mel: Tensor) -> Iterator[Tensor]:
        """Yield the chunks [N] of one mel [1, M, F]."""
        hop_length, margin = self.audio.hop_length, self._generator.margin
        start = 0
        for frames in chunk_sizes(mel.size(2), usual=self._usual_frames(mel.device)):
            first = max(0, start - margin)
            around = mel[:, :, first : start + frames + margin].float()
            begin = (start - first) * hop_length
            yield self._generator(around)[0, begin : begin + frames * hop_length]
            start += frames

    def _usual_frames(self, device: torch.device) -> int:
        return CPU_FRAMES if device.type == "cpu" else GPU_FRAMES
