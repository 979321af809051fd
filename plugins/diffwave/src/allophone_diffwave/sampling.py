"""Running a sampler's plan: each chunk of an utterance passes through all updates.

Legend: M mel bands, F frames, N samples.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from attrs import frozen
from torch import Tensor

from allophone_diffwave.folded import FoldedDenoiser
from allophone_diffwave.samplers import Plan, Update
from allophone_diffwave.streaming import Buffers, DenoiserStream, UpsampledMel

NOISE_BLOCK = 4096

CPU_CHUNK = 4096
"""Chunk size in samples on a CPU: activations stay in the cache."""

GPU_CHUNK = 2**18
"""Chunk size on other devices: large enough for full utilisation, with bounded memory."""


@frozen(kw_only=True)
class SeededNoise:
    """Noise that depends only on the seed, the number of the update, and the position of the sample.

    So a chunk gets the same noise as the same samples of the whole waveform. Noise is generated in blocks
    with a counter-based generator (Salmon et al. 2011).
    """

    seed: int
    device: torch.device

    def draw(self, update: int, start: int, stop: int) -> Tensor:
        """Noise of unit variance, [stop - start]. `update` 0 is the initial noise."""
        first = start // NOISE_BLOCK
        blocks = [self._block(update, block) for block in range(first, -(-stop // NOISE_BLOCK))]
        drawn = np.concatenate([np.empty(0, np.float32), *blocks])
        offset = first * NOISE_BLOCK
        return torch.from_numpy(drawn[start - offset : stop - offset]).to(self.device)

    def _block(self, update: int, block: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        generator = np.random.Philox(key=self.seed, counter=[0, 0, block, update])
        return np.random.Generator(generator).standard_normal(NOISE_BLOCK, dtype=np.float32)


@frozen(kw_only=True)
class SamplerState:
    """The state of some samples between two updates.

    waveform: [N], at the noise level of the next update. clean: the latest estimate of the clean waveform [N].
    """

    waveform: Tensor
    clean: Tensor

    def append(self, following: SamplerState) -> SamplerState:
        """Concatenate with the samples that follow."""
        return SamplerState(
            waveform=torch.cat([self.waveform, following.waveform]),
            clean=torch.cat([self.clean, following.clean]),
        )

    def split(self, samples: int) -> tuple[SamplerState, SamplerState]:
        """The first `samples` samples, and the rest."""
        return (
            SamplerState(waveform=self.waveform[:samples], clean=self.clean[:samples]),
            SamplerState(waveform=self.waveform[samples:], clean=self.clean[samples:]),
        )


def apply_update(
    state: SamplerState, predicted_noise: Tensor, update: Update, noise: Tensor | None
) -> SamplerState:
    """Apply one update, given the predicted noise; all tensors have the same shape."""
    waveform = state.waveform
    clean = (waveform - (1 - update.alpha_bar) ** 0.5 * predicted_noise) / update.alpha_bar**0.5
    moved = update.keep * waveform + update.clean * clean
    if update.previous:
        moved += update.previous * state.clean
    if noise is not None:
        moved += update.noise * noise
    return SamplerState(waveform=moved, clean=clean)


class UpdateStream:
    """One update of a plan as a stream: its output lags its input by the denoiser's look-ahead."""

    def __init__(
        self, number: int, update: Update, stream: DenoiserStream, noise: SeededNoise
    ) -> None:
        """number: of the update, from 1."""
        self._number = number
        self._update = update
        self._stream = stream
        self._noise = noise
        nothing = torch.zeros(0, device=noise.device)
        self._waiting = SamplerState(waveform=nothing, clean=nothing)
        self._done = 0

    def push(self, state: SamplerState, *, last: bool) -> SamplerState:
        """Add the next samples; return those that are finished."""
        predicted_noise = self._stream.push(state.waveform, last=last)
        ready, self._waiting = self._waiting.append(state).split(len(predicted_noise))
        start, self._done = self._done, self._done + len(predicted_noise)
        update = self._update
        fresh = self._noise.draw(self._number, start, self._done) if update.noise else None
        return apply_update(ready, predicted_noise, update, fresh)


def sample(
    denoiser: FoldedDenoiser, mel: Tensor, plan: Plan, *, seed: int, clamp_always: bool = False
) -> Iterator[Tensor]:
    """Yield the waveform of a mel [M, F] in chunks [N] of samples from -1 to 1.

    clamp_always: whether to clamp after each update instead of after the last only.
    """
    device = denoiser.device
    noise = SeededNoise(seed=seed, device=device)
    size = CPU_CHUNK if device.type == "cpu" else GPU_CHUNK
    samples = mel.size(1) * denoiser.hop_length
    buffers, bands = Buffers(denoiser, min(size, samples)), UpsampledMel(denoiser, mel)
    streams = [
        UpdateStream(
            number,
            update,
            DenoiserStream(denoiser, denoiser.step_biases(update.step), bands, buffers),
            noise,
        )
        for number, update in enumerate(plan.updates, start=1)
    ]
    done = 0
    for start in range(0, samples, size):
        stop = min(start + size, samples)
        beginning = plan.start * noise.draw(0, start, stop)
        state = SamplerState(waveform=beginning, clean=torch.zeros_like(beginning))
        for stream in streams:
            state = stream.push(state, last=stop == samples)
            if clamp_always:
                state.waveform.clamp_(-1, 1)
        done += len(state.waveform)
        bands.discard(done)
        if len(state.waveform):
            yield state.waveform.clamp_(-1, 1)
