"""An untrained codec for tests, which codes the lowest frequencies of each frame.

Legend: B batch, N samples, Q codebooks, F frames, H samples in a frame.
"""

from __future__ import annotations

import math

import torch
from attrs import frozen
from torch import Tensor
from torch.nn import functional

from allophone_valle.codec_config import FakeCodecConfig
from allophone_valle.codecs.protocol import CodecFormat, Codes, zero_padding

_COMPANDING = 255.0
"""Companding as in mu-law: finer steps for small values."""


@frozen(kw_only=True)
class FakeCodec(CodecFormat):
    """Codes each frame separately: codebook q is its companded DCT coefficient q + 1.

    Encoding decoded audio gives the same codes again.
    """

    @classmethod
    def from_config(cls, config: FakeCodecConfig) -> FakeCodec:
        """Build the codec of a config."""
        rate, hop_length = config.sample_rate, config.hop_length
        return cls(
            sample_rate=rate,
            hop_length=hop_length,
            codebooks=config.codebooks,
            bins=config.bins,
            fingerprint=f"fake-{rate}-{hop_length}-{config.codebooks}-{config.bins}",
        )

    def encode(self, waveform: Tensor, lengths: Tensor) -> Codes:
        """waveform [B, N], lengths [B] in samples."""
        padded = functional.pad(
            zero_padding(waveform, lengths), (0, -waveform.size(1) % self.hop_length)
        )
        frames = torch.unflatten(padded, 1, (-1, self.hop_length))
        coefficients = frames @ self._cosines(waveform.device).T
        companded = coefficients.abs().mul(_COMPANDING).log1p() / math.log1p(_COMPANDING)
        steps = coefficients.sign() * companded.clamp_max(1) * self._zero_code
        codes = (steps.round() + self._zero_code).long().transpose(1, 2)
        lengths = self.frames(lengths)
        return Codes(codes=zero_padding(codes, lengths), lengths=lengths)

    def decode(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """codes [B, Q, F], lengths [B] in frames."""
        steps = (codes.transpose(1, 2).float() - self._zero_code) / self._zero_code
        companded = (steps.abs() * math.log1p(_COMPANDING)).expm1() / _COMPANDING
        cosines = self._cosines(codes.device)[: codes.size(1)]
        frames = (steps.sign() * companded) @ cosines * (self.hop_length / 2)
        return zero_padding(frames.flatten(1), lengths * self.hop_length)

    @property
    def _zero_code(self) -> int:
        """The code of silence, in the middle of the range."""
        return (self.bins - 1) // 2

    def _cosines(self, device: torch.device) -> Tensor:
        """DCT basis functions 1 to Q, [Q, H], scaled so that a full-scale cosine has the coefficient 1."""
        sample = torch.arange(self.hop_length, device=device) + 0.5
        index = torch.arange(1, self.codebooks + 1, device=device)
        return (math.pi / self.hop_length * index[:, None] * sample).cos() * (2 / self.hop_length)
