"""Codecs whose networks are causal, so that utterances of any lengths may share a batch.

Legend: B batch, N samples, Q codebooks, F frames.
"""

from __future__ import annotations

from typing import Protocol

import torch
from attrs import frozen
from torch import Tensor
from torch.nn import functional

from allophone_valle.codecs.protocol import CodecFormat, Codes, kept

LEAST_FRAMES = 7
"""What EnCodec's convolutions see before the beginning is what follows it, mirrored: so many frames."""


class CausalNetwork(Protocol):
    """Whole frames of waveforms to codes and back, `LEAST_FRAMES` and more.

    But for the beginning, nothing depends on what comes later.
    """

    def encode(self, waveform: Tensor) -> Tensor:
        """waveform [B, F * hop_length] -> codes [B, Q, F]."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """codes [B, Q, F] -> waveform [B, F * hop_length]."""
        ...


@frozen(kw_only=True, eq=False)
class CausalCodec(CodecFormat):
    """A codec around such a network; the last frame of an utterance is filled up with silence."""

    network: CausalNetwork

    @torch.no_grad()
    def encode(self, waveform: Tensor, lengths: Tensor) -> Codes:
        """waveform [B, N], lengths [B] in samples."""
        frames = self.frames(lengths)
        longest = -(-waveform.size(1) // self.hop_length)
        whole = max(longest, LEAST_FRAMES) * self.hop_length
        silent = functional.pad(kept(waveform, lengths), (0, whole - waveform.size(1)))
        codes = self.network.encode(silent)[:, :, :longest]
        return Codes(codes=kept(codes, frames), lengths=frames)

    @torch.no_grad()
    def decode(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """codes [B, Q, F], lengths [B] in frames."""
        frames = codes.size(2)
        padded = functional.pad(codes, (0, max(0, LEAST_FRAMES - frames)))
        waveform = self.network.decode(padded)[:, : frames * self.hop_length]
        return kept(waveform.float(), lengths * self.hop_length)
