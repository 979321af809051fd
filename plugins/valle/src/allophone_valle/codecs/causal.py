"""Codecs with causal networks, which can batch utterances of different lengths.

Legend: B batch, N samples, Q codebooks, F frames.
"""

from __future__ import annotations

from typing import Protocol

import torch
from attrs import frozen
from torch import Tensor
from torch.nn import functional

from allophone_valle.codecs.protocol import CodecFormat, Codes, zero_padding

MIN_FRAMES = 7
"""Minimum number of frames: EnCodec's convolutions use reflection padding at the start of the input."""


class CausalNetwork(Protocol):
    """A causal encoder and decoder for at least `MIN_FRAMES` complete frames.

    Except for the reflection padding at the start, no output depends on later input.
    """

    def encode(self, waveform: Tensor) -> Tensor:
        """waveform [B, F * hop_length] -> codes [B, Q, F]."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """codes [B, Q, F] -> waveform [B, F * hop_length]."""
        ...


@frozen(kw_only=True, eq=False)
class CausalCodec(CodecFormat):
    """A codec with a causal network; pads the last frame of each utterance with silence."""

    network: CausalNetwork

    @torch.no_grad()
    def encode(self, waveform: Tensor, lengths: Tensor) -> Codes:
        """waveform [B, N], lengths [B] in samples."""
        frames = self.frames(lengths)
        longest = -(-waveform.size(1) // self.hop_length)
        size = max(longest, MIN_FRAMES) * self.hop_length
        padded = functional.pad(zero_padding(waveform, lengths), (0, size - waveform.size(1)))
        codes = self.network.encode(padded)[:, :, :longest]
        return Codes(codes=zero_padding(codes, frames), lengths=frames)

    @torch.no_grad()
    def decode(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """codes [B, Q, F], lengths [B] in frames."""
        frames = codes.size(2)
        padded = functional.pad(codes, (0, max(0, MIN_FRAMES - frames)))
        waveform = self.network.decode(padded)[:, : frames * self.hop_length]
        return zero_padding(waveform.float(), lengths * self.hop_length)
