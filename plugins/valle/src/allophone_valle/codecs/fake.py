"""A codec that nobody has trained, for tests: it keeps the deepest pitches of each frame.

Legend: B batch, N samples, Q codebooks, F frames, H samples in a frame.
"""

from __future__ import annotations

import math

import torch
from attrs import frozen
from torch import Tensor
from torch.nn import functional

from allophone_valle.codec_config import FakeCodecConfig
from allophone_valle.codecs.protocol import CodecFormat, Codes, kept

_COMPANDING = 255.0
"""As in mu-law: what is quiet has finer steps."""


@frozen(kw_only=True)
class FakeCodec(CodecFormat):
    """Each frame by itself: codebook q has its q-th cosine coefficient, in logarithmic steps.

    What has gone through once goes through again unchanged.
    """

    @classmethod
    def of(cls, config: FakeCodecConfig) -> FakeCodec:
        """The codec that pretends to be what a config says."""
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
        silent = functional.pad(kept(waveform, lengths), (0, -waveform.size(1) % self.hop_length))
        frames = torch.unflatten(silent, 1, (-1, self.hop_length))
        coefficients = frames @ self._cosines(waveform.device).T
        loud = coefficients.abs().mul(_COMPANDING).log1p() / math.log1p(_COMPANDING)
        steps = coefficients.sign() * loud.clamp_max(1) * self._most
        codes = (steps.round() + self._most).long().transpose(1, 2)
        lengths = self.frames(lengths)
        return Codes(codes=kept(codes, lengths), lengths=lengths)

    def decode(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """codes [B, Q, F], lengths [B] in frames."""
        steps = (codes.transpose(1, 2).float() - self._most) / self._most
        loud = (steps.abs() * math.log1p(_COMPANDING)).expm1() / _COMPANDING
        cosines = self._cosines(codes.device)[: codes.size(1)]
        frames = (steps.sign() * loud) @ cosines * (self.hop_length / 2)
        return kept(frames.flatten(1), lengths * self.hop_length)

    @property
    def _most(self) -> int:
        """The code of silence, which has as many others above as below it."""
        return (self.bins - 1) // 2

    def _cosines(self, device: torch.device) -> Tensor:
        """The first of the discrete cosine transform, [Q, H]; a full-scale one has the coefficient 1."""
        sample = torch.arange(self.hop_length, device=device) + 0.5
        pitch = torch.arange(1, self.codebooks + 1, device=device)
        return (math.pi / self.hop_length * pitch[:, None] * sample).cos() * (2 / self.hop_length)
