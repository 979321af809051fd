"""Codecs trained with Allophone, for synthesis and feature extraction.

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
from allophone.weights.loading import load_weights, skip_init
from allophone_valle.codec_config import CodecArchitecture
from allophone_valle.codecs.causal import CausalCodec
from allophone_valle.codecs.network import CodecNetwork
from allophone_valle.codecs.protocol import CodecFormat


@frozen(kw_only=True)
class CodecVocoder:
    """A codec with the interface of a vocoder, so that it can be stored and trained as one.

    audio: has the codec's sample rate and hop length; its mel settings are unused.
    """

    audio: MelSpec
    codec: CausalCodec

    def vocode(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Raise UserError: a codec cannot decode mels [B, M, F]."""
        del mel, lengths
        raise UserError(
            "A codec decodes its own codes, not mel spectrograms.",
            hint="Use a vocoder for mel spectrograms. Codecs are for models with model.codec.place.",
        )


def build_vocoder(
    spec: VocoderSpec, weights: Mapping[str, Tensor], device: torch.device
) -> CodecVocoder:
    """Build a trained codec.

    Raises ConfigError if its hop length is not that of `[audio]`, UserError if the weights do not fit its
    description.
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
    """Return the format without building the codec."""
    architecture: CodecArchitecture = spec.vocoder
    return CodecFormat(
        sample_rate=spec.audio.sample_rate,
        hop_length=architecture.hop_length,
        codebooks=architecture.codebooks,
        bins=architecture.bins,
        fingerprint=f"codec-{_digest(weights)}",
    )


def _digest(weights: Mapping[str, Tensor]) -> str:
    """Hash the weights, independent of the file format."""
    content = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].contiguous()
        content.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        content.update(tensor.flatten().view(torch.uint8).numpy().data)
    return content.hexdigest()[:16]
