"""A codec that was trained here, as synthesis and extraction use it.

Legend: B batch, M mel bands, F frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from attrs import asdict, frozen
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.inference.protocol import VocoderSpec
from allophone.weights import load_weights, skip_init
from allophone_valle.codec_config import CodecArchitecture
from allophone_valle.codecs.causal import CausalCodec
from allophone_valle.codecs.network import CodecNetwork
from allophone_valle.codecs.protocol import CodecFormat


@frozen(kw_only=True)
class CodecVocoder:
    """A codec in the place of a vocoder, which runs, checkpoints and folders are made of.

    audio: its sample rate and hop length are the codec's; of mels it knows nothing.
    """

    audio: MelSpec
    codec: CausalCodec

    def vocode(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Refuse mels [B, M, F], since it decodes codes alone: UserError."""
        del mel, lengths
        raise UserError(
            "A codec makes waveforms of its own codes, not of mel spectrograms.",
            hint="Models of codes speak through it, with model.codec.place; for mels take a vocoder.",
        )


def build_vocoder(
    spec: VocoderSpec, weights: Mapping[str, Tensor], device: torch.device
) -> CodecVocoder:
    """Make a trained codec ready.

    Raises ConfigError where its frames are not those of `[audio]`, and UserError for weights that do
    not fit its description.
    """
    architecture: CodecArchitecture = spec.vocoder
    architecture.check_audio(spec.audio)
    with skip_init():
        network = CodecNetwork(architecture)
    load_weights(network, weights, where="this codec")
    network.to(device).eval().requires_grad_(False)
    codec = CausalCodec(**asdict(format_of(spec, weights)), network=network)
    return CodecVocoder(audio=spec.audio, codec=codec)


def format_of(spec: VocoderSpec, weights: Mapping[str, Tensor]) -> CodecFormat:
    """What its codes are, known before it is built."""
    architecture: CodecArchitecture = spec.vocoder
    return CodecFormat(
        sample_rate=spec.audio.sample_rate,
        hop_length=architecture.hop_length,
        codebooks=architecture.codebooks,
        bins=architecture.bins,
        fingerprint=f"codec-{_digest(weights)}",
    )


def _digest(weights: Mapping[str, Tensor]) -> str:
    """What tells weights from any others, in whatever file they lie."""
    content = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].contiguous()
        content.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        content.update(tensor.flatten().view(torch.uint8).numpy().data)
    return content.hexdigest()[:16]
