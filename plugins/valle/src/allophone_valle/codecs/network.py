"""Trainable codec network: EnCodec's encoder and decoder with our residual quantizer.

Legend: B batch, N samples, D dimension, Q codebooks, F frames.
"""

from __future__ import annotations

from typing import Any

import torch
from attrs import frozen
from encodec.modules.seanet import SEANetDecoder, SEANetEncoder
from torch import Tensor, nn

from allophone_valle.codec_config import CodecArchitecture
from allophone_valle.codecs.quantizer import Quantized, ResidualQuantizer


@frozen(kw_only=True)
class CodecOutput:
    """waveform: [B, N], reconstructed; quantized: output of the quantizer."""

    waveform: Tensor
    quantized: Quantized


class CodecNetwork(nn.Module):
    """Causal encoder, quantizer and decoder: a frame's codes and samples do not depend on later frames."""

    def __init__(self, architecture: CodecArchitecture) -> None:
        super().__init__()
        shared: dict[str, Any] = {
            "channels": 1,
            "dimension": architecture.dimension,
            "n_filters": architecture.filters,
            "n_residual_layers": architecture.residual_layers,
            "ratios": list(architecture.ratios),
            "lstm": architecture.lstm_layers,
            "norm": "none",
            "causal": True,
        }
        self.encoder = SEANetEncoder(**shared)
        self.quantizer = ResidualQuantizer(
            codebooks=architecture.codebooks,
            bins=architecture.bins,
            dimension=architecture.dimension,
        )
        self.decoder = SEANetDecoder(**shared)
        self.apply(_preserve_variance)

    def forward(self, waveform: Tensor, *, bypass: float = 0.0) -> CodecOutput:
        """Reconstruct waveform [B, N], N a multiple of the hop length.

        bypass: probability of passing a row to the decoder unquantized.
        """
        vectors = self.encoder(waveform.unsqueeze(1))
        quantized = self.quantizer(vectors)
        bypassing = torch.rand(len(vectors), 1, 1, device=vectors.device) < bypass
        decoder_input = torch.where(bypassing, vectors, quantized.vectors)
        return CodecOutput(waveform=self.decoder(decoder_input).squeeze(1), quantized=quantized)

    def encode(self, waveform: Tensor) -> Tensor:
        """waveform [B, N], N a multiple of the hop length -> codes [B, Q, F]."""
        return self.quantizer.encode(self.encoder(waveform.unsqueeze(1)))

    def decode(self, codes: Tensor) -> Tensor:
        """codes [B, Q, F] -> waveform [B, F * hop_length]."""
        waveform: Tensor = self.decoder(self.quantizer.decode(codes)).squeeze(1)
        return waveform


@torch.no_grad()
def _preserve_variance(module: nn.Module) -> None:
    """Initialize a convolution to preserve the variance of its input, with zero bias.

    With PyTorch's initialization, each of two dozen convolutions halves the signal, until biases dominate
    the input of the quantizer.
    """
    if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
        inputs = module.in_channels * module.kernel_size[0]
        if isinstance(module, nn.ConvTranspose1d):
            inputs //= module.stride[0]
        nn.init.normal_(module.weight, std=inputs**-0.5)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
