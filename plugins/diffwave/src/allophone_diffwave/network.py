"""The denoiser: predicts the noise in a waveform, given its mel and the diffusion step (figure 2).

Legend: B batch, C channels, M mel bands, F frames, N samples.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from allophone_diffwave.config import DiffwaveConfig
from allophone_diffwave.diffusion import NoiseSchedule

SLOPE = 0.4
"""Of the leaky ReLUs of the upsampler."""

FREQUENCIES = 64
STEP_CHANNELS = 512


class Denoiser(nn.Module):
    """Predicts the noise in a waveform; its output layer starts at zero.

    alpha_bar: of the training schedule, [steps].
    """

    alpha_bar: Tensor

    def __init__(self, config: DiffwaveConfig, *, mels: int) -> None:
        super().__init__()
        channels = config.channels
        schedule = NoiseSchedule.from_config(config.noise)
        self.register_buffer("alpha_bar", torch.tensor(schedule.alpha_bar), persistent=False)
        self.step_embedding = StepEmbedding(config.noise.steps)
        self.upsampler = Upsampler(config.upsample_rates)
        self.input = convolution(1, channels)
        self.layers = nn.ModuleList(
            ResidualLayer(channels, mels=mels, dilation=dilation) for dilation in config.dilations
        )
        self.skip = convolution(channels, channels)
        self.output = convolution(channels, 1)
        nn.init.zeros_(self.output.weight)

    def forward(self, noisy: Tensor, mel: Tensor, step: Tensor) -> Tensor:
        """noisy [B, N], mel [B, M, F], step [B] from 0, may be fractional -> the predicted noise [B, N]."""
        embedding = self.step_embedding(step)
        conditioner = self.upsampler(mel)
        hidden = functional.relu(self.input(noisy.unsqueeze(1)))
        skips: Tensor | float = 0.0
        for layer in self.layers:
            hidden, skip = layer(hidden, conditioner, embedding)
            skips = skips + skip
        hidden = functional.relu(self.skip(skips / math.sqrt(len(self.layers))))
        noise: Tensor = self.output(hidden)
        return noise.squeeze(1).float()


class StepEmbedding(nn.Module):
    """Sinusoidal embedding of the diffusion step, and two linear layers (section 3.2)."""

    table: Tensor

    def __init__(self, steps: int) -> None:
        super().__init__()
        frequencies = 10.0 ** (torch.arange(FREQUENCIES) * 4.0 / (FREQUENCIES - 1))
        phases = torch.arange(steps).unsqueeze(1) * frequencies
        table = torch.cat([phases.sin(), phases.cos()], dim=1)
        self.register_buffer("table", table, persistent=False)
        self.first = nn.Linear(2 * FREQUENCIES, STEP_CHANNELS)
        self.second = nn.Linear(STEP_CHANNELS, STEP_CHANNELS)

    def forward(self, step: Tensor) -> Tensor:
        """step [B] -> [B, STEP_CHANNELS]; fractional steps are interpolated linearly."""
        step = step.float()
        below = step.floor().long()
        between = (step - below).unsqueeze(1)
        above = (below + 1).clamp_max(len(self.table) - 1)
        position = torch.lerp(self.table[below], self.table[above], between)
        return functional.silu(self.second(functional.silu(self.first(position))))


class Upsampler(nn.Module):
    """Upsamples mels to the sample rate, with one transposed convolution per rate."""

    def __init__(self, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.hop_length = math.prod(rates)
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(
                1,
                1,
                kernel_size=(3, 2 * rate),
                stride=(1, rate),
                padding=(1, (rate + 1) // 2),
                output_padding=(0, rate % 2),
            )
            for rate in rates
        )

    def forward(self, mel: Tensor) -> Tensor:
        """mel [B, M, F] -> [B, M, N]."""
        image = mel.unsqueeze(1)
        for upsample in self.convolutions:
            image = functional.leaky_relu(upsample(image), SLOPE)
        return image.squeeze(1)


class ResidualLayer(nn.Module):
    """A gated, non-causal dilated convolution, conditioned on the mel and the step."""

    def __init__(self, channels: int, *, mels: int, dilation: int) -> None:
        super().__init__()
        self.step = nn.Linear(STEP_CHANNELS, channels)
        self.dilated = convolution(channels, 2 * channels, kernel_size=3, dilation=dilation)
        self.conditioner = convolution(mels, 2 * channels)
        self.output = convolution(channels, 2 * channels)

    def forward(
        self, hidden: Tensor, conditioner: Tensor, embedding: Tensor
    ) -> tuple[Tensor, Tensor]:
        """hidden, conditioner [B, M, N], embedding [B, STEP_CHANNELS] -> next hidden, skip; all [B, C, N]."""
        conditioned = hidden + self.step(embedding).unsqueeze(2)
        gate, values = (self.dilated(conditioned) + self.conditioner(conditioner)).chunk(2, dim=1)
        change, skip = self.output(gate.sigmoid() * values.tanh()).chunk(2, dim=1)
        return (hidden + change) / math.sqrt(2), skip


def convolution(
    in_channels: int, out_channels: int, *, kernel_size: int = 1, dilation: int = 1
) -> nn.Conv1d:
    """A convolution whose output is as long as its input, with the initialisation of He et al. (2015)."""
    made = nn.Conv1d(
        in_channels,
        out_channels,
        kernel_size,
        dilation=dilation,
        padding=dilation * (kernel_size // 2),
    )
    nn.init.kaiming_normal_(made.weight)
    return made
