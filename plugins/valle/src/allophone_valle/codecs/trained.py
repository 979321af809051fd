"""A codec that was trained here, as synthesis and extraction use it.

Legend: B batch, N samples, Q codebooks, M mel bands, F frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Protocol

import torch
from attrs import frozen
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.synthesis.protocol import VocoderSpec
from allophone.weights import load_weights, uninitialised
from allophone_valle.codec_config import CodecArchitecture
from allophone_valle.codecs.network import CodecNetwork
from allophone_valle.codecs.protocol import CodecFormat, Codes


class CausalNetwork(Protocol):
    """Whole frames of waveforms to codes and back, so that no frame depends on what follows it."""

    def encode(self, waveform: Tensor) -> Tensor:
        """waveform [B, F * hop_length] -> codes [B, Q, F]."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """codes [B, Q, F] -> waveform [B, F * hop_length]."""
        ...


@frozen(kw_only=True, eq=False)
class CausalCodec(CodecFormat):
    """A codec whose network is causal, so that utterances of any lengths may share a batch.

    The last frame of each is filled up with silence.
    """

    network: CausalNetwork

    @torch.inference_mode()
    def encode(self, waveform: Tensor, lengths: Tensor) -> Codes:
        frames = self.frames(lengths)
        silent = torch.nn.functional.pad(waveform, (0, -waveform.size(1) % self.hop_length))
        codes = self.network.encode(_kept(silent, lengths))
        return Codes(codes=_kept(codes, frames), lengths=frames)

    @torch.inference_mode()
    def decode(self, codes: Tensor, lengths: Tensor) -> Tensor:
        return _kept(self.network.decode(codes).float(), lengths * self.hop_length)


def _kept(values: Tensor, lengths: Tensor) -> Tensor:
    """values [B, ..., L] with zeros past lengths [B]."""
    inside = torch.arange(values.size(-1), device=values.device) < lengths[:, None]
    return torch.where(inside if values.ndim == 2 else inside.unsqueeze(1), values, 0)


@frozen(kw_only=True)
class CodecVocoder:
    """A codec in the place of a vocoder, for what looks for one: a run, a checkpoint, a folder.

    audio: the sample rate, and a frame of codes for each of its frames; of mels it knows nothing.
    """

    audio: MelSpec
    codec: CausalCodec

    def vocode(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """UserError: it decodes codes alone."""
        del mel, lengths
        raise UserError(
            "A codec makes waveforms of its own codes, and not of mel spectrograms.",
            hint="Name it in [model.codec] place of a model of codes; for mels take a vocoder such as "
            "griffin-lim.",
        )


def build_vocoder(
    spec: VocoderSpec, weights: Mapping[str, Tensor], device: torch.device
) -> CodecVocoder:
    """Make a trained codec ready.

    Raises ConfigError where its frames are not those of `[audio]`, and UserError for weights that do
    not fit its description.
    """
    architecture = spec.vocoder
    assert isinstance(architecture, CodecArchitecture)
    architecture.check_audio(spec.audio)
    with uninitialised():
        network = CodecNetwork(architecture)
    load_weights(network, weights, where="this codec")
    network.to(device).eval().requires_grad_(False)
    described = trained_format(spec, weights)
    return CodecVocoder(
        audio=spec.audio,
        codec=CausalCodec(
            sample_rate=described.sample_rate,
            hop_length=described.hop_length,
            codebooks=described.codebooks,
            bins=described.bins,
            fingerprint=described.fingerprint,
            network=network,
        ),
    )


def trained_format(spec: VocoderSpec, weights: Mapping[str, Tensor]) -> CodecFormat:
    """What a trained codec's codes are, without building it."""
    architecture = spec.vocoder
    return CodecFormat(
        sample_rate=spec.audio.sample_rate,
        hop_length=architecture.hop_length,
        codebooks=architecture.codebooks,
        bins=architecture.bins,
        fingerprint=f"codec-{_digest(weights)}",
    )


def _digest(weights: Mapping[str, Tensor]) -> str:
    """What tells weights from any others, wherever they lie."""
    content = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].contiguous()
        content.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        content.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return content.hexdigest()[:16]
