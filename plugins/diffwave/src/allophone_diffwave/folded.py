"""The denoiser's weights as it is run with to be heard: the same function, with less to do.

- What the layers add for the step is in their biases: hidden values are kept with the next layer's
  embedding already added, so that zeros around an utterance stay zeros.
- All constant factors are in the weights.
- The hyperbolic tangent is a sigmoid (tanh x = 2 sigmoid 2x - 1), so that one pass makes both halves of the
  gate, and one multiplication joins them: s - 2 s t = -sigmoid(a) tanh(b), whose sign is the next weight's.

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
    def of(cls, layer: ResidualLayer, *, layers: int, dtype: torch.dtype) -> FoldedLayer:
        """The weights of one out of so many layers."""
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

        What comes next is change + around / sqrt 2, and skips are to be added up.
        """
        hidden = convolved(around, self.dilated, self.bias, dilation=self.dilation)
        hidden += convolved(bands, self.conditioner)
        gate, values = hidden.sigmoid_().chunk(2, dim=1)
        gated = torch.addcmul(gate, gate, values, value=-2.0)
        change, skip = convolved(gated, self.output, bias).chunk(2, dim=1)
        return change, skip


@frozen(kw_only=True)
class StepBiases:
    """What the layers add for one step of the diffusion.

    first [C] is added to what the first layer is given; outputs L times [2C] are the biases of what the
    layers give.
    """

    first: Tensor
    outputs: tuple[Tensor, ...]


class FoldedDenoiser:
    """A denoiser with its weights folded, once.

    dtype: of weights and of what layers give each other; what they add up to is float32.
    """

    def __init__(self, denoiser: Denoiser, *, dtype: torch.dtype = torch.float32) -> None:
        self._denoiser = denoiser
        self._plain = [layer for layer in denoiser.layers if isinstance(layer, ResidualLayer)]
        self.dtype = dtype
        self.layers = tuple(
            FoldedLayer.of(layer, layers=len(self._plain), dtype=dtype) for layer in self._plain
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
        """How many frames to each side the samples of a frame depend on: less than one further in each
        convolution of the upsampler."""
        return len(self._denoiser.upsampler.convolutions)

    @property
    def reach(self) -> int:
        """How many samples to each side the noise in a sample depends on."""
        return sum(layer.dilation for layer in self.layers)

    def upsampled(self, mel: Tensor) -> Tensor:
        """A mel [M, F] at the rate of samples, [F * hop_length, M]."""
        bands: Tensor = self._denoiser.upsampler(mel.unsqueeze(0))[0]
        return bands.to(self.dtype).t().contiguous()

    def step_biases(self, step: float) -> StepBiases:
        """The biases that stand for a step, see `NoiseSchedule.step_of`."""
        embedding = self._denoiser.step_embedding(torch.tensor([step], device=self.device))
        added = [layer.step(embedding)[0] for layer in self._plain]
        outputs = []
        for layer, own, following in zip(self._plain, added, [*added[1:], None], strict=True):
            assert layer.output.bias is not None
            change, skip = layer.output.bias.chunk(2)
            change = (change - own) / math.sqrt(2)
            change = change if following is None else change + following
            outputs.append(torch.cat([change, skip / math.sqrt(len(self._plain))]).to(self.dtype))
        return StepBiases(first=added[0], outputs=tuple(outputs))

    def entered(self, noisy: Tensor, biases: StepBiases) -> Tensor:
        """noisy [N] as the first layer is given it, [N, C]."""
        convolution = self._denoiser.input
        assert convolution.bias is not None
        hidden = torch.addcmul(convolution.bias, noisy.unsqueeze(1), convolution.weight[:, 0, 0])
        return hidden.relu_().add_(biases.first)

    def output(self, skips: Tensor) -> Tensor:
        """The predicted noise [N] of what the layers skip to, summed up [N, C]."""
        hidden = convolved(skips, self._skip, self._denoiser.skip.bias).relu_()
        return convolved(hidden, self._output, self._denoiser.output.bias).squeeze(1)


def convolved(
    values: Tensor, weight: Tensor, bias: Tensor | None = None, *, dilation: int = 1
) -> Tensor:
    """values [N, C] -> [N', C'], without padding: as an image of one row, whose channels are innermost.

    That layout is the one that a CPU convolves fastest in, and PyTorch has it for images alone.
    """
    if weight.size(3) == 1 and values.device.type == "cpu":
        # A kernel of one sample has no use for a dilation, but where there is one, PyTorch takes the
        # faster of its ways with a single thread too.
        dilation = 2
    image = values[None, None].permute(0, 3, 1, 2)
    return functional.conv2d(image, weight, bias, dilation=(1, dilation)).permute(0, 2, 3, 1)[0, 0]


def _image(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """weight [C', C, K] as [C', C, 1, K], channels innermost."""
    return weight.detach().to(dtype).unsqueeze(2).contiguous(memory_format=torch.channels_last)


def _halves(first: float, second: float, weight: Tensor) -> Tensor:
    """A factor for each row of a weight [2C, ...]: one for the first half, another for the second."""
    half = len(weight) // 2
    return torch.tensor([first] * half + [second] * half, device=weight.device)
