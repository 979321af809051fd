"""The denoiser for inference: the same function with fewer operations.

- The step embedding is folded into the biases: hidden values already include the embedding of the next
  layer, so that zeros around an utterance stay zeros.
- Constant factors are folded into the weights.
- tanh is computed as a sigmoid (tanh x = 2 sigmoid 2x - 1), so that one pass computes both halves of the
  gate and one multiplication joins them: s - 2 s t = -sigmoid(a) tanh(b). The next weight absorbs the sign.

Legend: C channels, M mel bands, F frames, N samples, L layers.
"""

from __future__ import annotations

import math

import torch
from attrs import frozen
from torch import Tensor
from torch.nn import functional

from allophone_diffwave.network import Denoiser, ResidualLayer


@frozen(kw_only=True)
class FoldedLayer:
    """One layer's weights.

    dilated [2C, C, 1, 3] with its bias [2C], conditioner [2C, M, 1, 1], output [2C, C, 1, 1].
    """

    dilation: int
    dilated: Tensor
    bias: Tensor
    conditioner: Tensor
    output: Tensor

    @classmethod
    def fold(cls, layer: ResidualLayer, *, layers: int, dtype: torch.dtype) -> FoldedLayer:
        """Fold the weights of one of `layers` layers."""
        doubled = _halves(1.0, 2.0, layer.dilated.weight)
        scaled = _halves(-1 / math.sqrt(2), -1 / math.sqrt(layers), layer.output.weight)
        assert layer.dilated.bias is not None
        assert layer.conditioner.bias is not None
        return cls(
            dilation=layer.dilated.dilation[0],
            dilated=_image(layer.dilated.weight * doubled[:, None, None], dtype),
            bias=((layer.dilated.bias + layer.conditioner.bias) * doubled).to(dtype),
            conditioner=_image(layer.conditioner.weight * doubled[:, None, None], dtype),
            output=_image(layer.output.weight * scaled[:, None, None], dtype),
        )

    def __call__(self, around: Tensor, bands: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """around [dilation + N + dilation, C], bands [N, M], bias [2C] -> change [N, C], skip [N, C].

        The input of the next layer is change + around / sqrt 2; the caller sums the skips.
        """
        hidden = convolve(around, self.dilated, self.bias, dilation=self.dilation)
        hidden += convolve(bands, self.conditioner)
        gate, values = hidden.sigmoid_().chunk(2, dim=1)
        gated = torch.addcmul(gate, gate, values, value=-2.0)
        change, skip = convolve(gated, self.output, bias).chunk(2, dim=1)
        return change, skip


@frozen(kw_only=True)
class StepBiases:
    """The biases of the layers at one diffusion step.

    first [C] is added to the input of the first layer; outputs, L times [2C], are the biases of the
    layers' output convolutions.
    """

    first: Tensor
    outputs: tuple[Tensor, ...]


class FoldedDenoiser:
    """A denoiser with folded weights.

    dtype: of the weights and the layers' outputs; sums are float32.
    """

    def __init__(self, denoiser: Denoiser, *, dtype: torch.dtype = torch.float32) -> None:
        self._denoiser = denoiser
        self._unfolded = [layer for layer in denoiser.layers if isinstance(layer, ResidualLayer)]
        self.dtype = dtype
        self.layers = tuple(
            FoldedLayer.fold(layer, layers=len(self._unfolded), dtype=dtype)
            for layer in self._unfolded
        )
        self._skip = _image(denoiser.skip.weight, torch.float32)
        self._output = _image(denoiser.output.weight, torch.float32)

    @property
    def channels(self) -> int:
        return len(self._skip)

    @property
    def mels(self) -> int:
        return self.layers[0].conditioner.size(1)

    @property
    def device(self) -> torch.device:
        return self._skip.device

    @property
    def hop_length(self) -> int:
        return self._denoiser.upsampler.hop_length

    @property
    def mel_margin(self) -> int:
        """Context of the upsampler in frames, on each side: less than one frame per convolution."""
        return len(self._denoiser.upsampler.convolutions)

    @property
    def receptive_margin(self) -> int:
        """Context of the denoiser in samples, on each side."""
        return sum(layer.dilation for layer in self.layers)

    def upsampled(self, mel: Tensor) -> Tensor:
        """Upsample a mel [M, F] to the sample rate, [F * hop_length, M]."""
        bands: Tensor = self._denoiser.upsampler(mel.unsqueeze(0))[0]
        return bands.to(self.dtype).t().contiguous()

    def step_biases(self, step: float) -> StepBiases:
        """The biases at a step, see `NoiseSchedule.fractional_step`."""
        embedding = self._denoiser.step_embedding(torch.tensor([step], device=self.device))
        added = [layer.step(embedding)[0] for layer in self._unfolded]
        outputs = []
        for layer, own, following in zip(self._unfolded, added, [*added[1:], None], strict=True):
            assert layer.output.bias is not None
            change, skip = layer.output.bias.chunk(2)
            change = (change - own) / math.sqrt(2)
            change = change if following is None else change + following
            outputs.append(
                torch.cat([change, skip / math.sqrt(len(self._unfolded))]).to(self.dtype)
            )
        return StepBiases(first=added[0], outputs=tuple(outputs))

    def input(self, noisy: Tensor, biases: StepBiases) -> Tensor:
        """noisy [N] -> the input of the first layer [N, C]."""
        convolution = self._denoiser.input
        assert convolution.bias is not None
        hidden = torch.addcmul(convolution.bias, noisy.unsqueeze(1), convolution.weight[:, 0, 0])
        return hidden.relu_().add_(biases.first)

    def output(self, skips: Tensor) -> Tensor:
        """skips, summed over the layers [N, C] -> the predicted noise [N]."""
        hidden = convolve(skips, self._skip, self._denoiser.skip.bias).relu_()
        return convolve(hidden, self._output, self._denoiser.output.bias).squeeze(1)


def convolve(
    values: Tensor, weight: Tensor, bias: Tensor | None = None, *, dilation: int = 1
) -> Tensor:
    """values [N, C] -> [N', C'], without padding.

    Computed as a 2-D convolution over an image of one row in channels-last layout, which is the fastest on a
    CPU; PyTorch supports that layout only in 2-D.
    """
    if weight.size(3) == 1 and values.device.type == "cpu":
        # Dilation has no effect on a kernel of size 1, but makes PyTorch choose its faster implementation
        # with a single thread too.
        dilation = 2
    image = values[None, None].permute(0, 3, 1, 2)
    return functional.conv2d(image, weight, bias, dilation=(1, dilation)).permute(0, 2, 3, 1)[0, 0]


def _image(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """weight [C', C, K] as [C', C, 1, K], channels innermost."""
    return weight.detach().to(dtype).unsqueeze(2).contiguous(memory_format=torch.channels_last)


def _halves(first: float, second: float, weight: Tensor) -> Tensor:
    """A factor per row of a weight [2C, ...]: `first` for the first half, `second` for the second."""
    half = len(weight) // 2
    return torch.tensor([first] * half + [second] * half, device=weight.device)
