"""Following a sampler's plan, all updates at once, while an utterance passes through them piece by piece.

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
from allophone_diffwave.streaming import Bands, DenoiserStream, Scratch

NOISE_BLOCK = 4096

CPU_PIECE = 4096
"""Samples that go through the layers at once on a CPU: what they give each other stays in its cache."""

GPU_PIECE = 2**18
"""And elsewhere: enough to be busy with, and no more memory for an hour than for a minute."""


@frozen(kw_only=True)
class SeededNoise:
    """Noise of which each sample is known by the seed, the update that draws it, and its position.

    So a piece of a waveform gets the noise that the whole would get there. It is drawn in blocks, each
    from a place of its own in the sequence of a counter-based generator (Salmon et al. 2011).
    """

    seed: int
    device: torch.device

    def draw(self, update: int, start: int, stop: int) -> Tensor:
        """Unit variance, [stop - start]. `update` 0 is the noise at the beginning."""
        first = start // NOISE_BLOCK
        blocks = [self._block(update, block) for block in range(first, -(-stop // NOISE_BLOCK))]
        drawn = np.concatenate([np.empty(0, np.float32), *blocks])
        offset = first * NOISE_BLOCK
        return torch.from_numpy(drawn[start - offset : stop - offset]).to(self.device)

    def _block(self, update: int, block: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        generator = np.random.Philox(key=self.seed, counter=[0, 0, block, update])
        return np.random.Generator(generator).standard_normal(NOISE_BLOCK, dtype=np.float32)


@frozen(kw_only=True)
class Progress:
    """Some samples on their way from noise to sound.

    waveform: [N], as noisy as the next update expects. clean: the last estimate of what it becomes [N].
    """

    waveform: Tensor
    clean: Tensor

    def then(self, following: Progress) -> Progress:
        """These and the samples that follow."""
        return Progress(
            waveform=torch.cat([self.waveform, following.waveform]),
            clean=torch.cat([self.clean, following.clean]),
        )

    def split(self, samples: int) -> tuple[Progress, Progress]:
        """The first so many samples, and the others."""
        return (
            Progress(waveform=self.waveform[:samples], clean=self.clean[:samples]),
            Progress(waveform=self.waveform[samples:], clean=self.clean[samples:]),
        )


def advance(
    progress: Progress, predicted_noise: Tensor, update: Update, noise: Tensor | None
) -> Progress:
    """One update, with the noise that the denoiser predicts in the waveform; all of one shape."""
    waveform = progress.waveform
    clean = (waveform - (1 - update.alpha_bar) ** 0.5 * predicted_noise) / update.alpha_bar**0.5
    moved = update.keep * waveform + update.clean * clean
    if update.previous:
        moved += update.previous * progress.clean
    if noise is not None:
        moved += update.noise * noise
    return Progress(waveform=moved, clean=clean)


class UpdateStream:
    """One update of a plan: samples come out of it later than they go in, as the denoiser tells."""

    def __init__(
        self, number: int, update: Update, stream: DenoiserStream, noise: SeededNoise
    ) -> None:
        """number: of the update, from 1 on."""
        self._number = number
        self._update = update
        self._stream = stream
        self._noise = noise
        nothing = torch.zeros(0, device=noise.device)
        self._waiting = Progress(waveform=nothing, clean=nothing)
        self._done = 0

    def push(self, progress: Progress, *, last: bool) -> Progress:
        """What is done by now, after the next samples have come."""
        predicted_noise = self._stream.push(progress.waveform, last=last)
        ready, self._waiting = self._waiting.then(progress).split(len(predicted_noise))
        start, self._done = self._done, self._done + len(predicted_noise)
        update = self._update
        fresh = self._noise.draw(self._number, start, self._done) if update.noise else None
        return advance(ready, predicted_noise, update, fresh)


def sample(
    denoiser: FoldedDenoiser, mel: Tensor, plan: Plan, *, seed: int, clamp_always: bool = False
) -> Iterator[Tensor]:
    """The waveform of a mel [M, F], in pieces [N] of samples from -1 to 1.

    clamp_always: whether they are brought there after each update, rather than after the last alone.
    """
    device = denoiser.device
    noise = SeededNoise(seed=seed, device=device)
    size = CPU_PIECE if device.type == "cpu" else GPU_PIECE
    samples = mel.size(1) * denoiser.hop_length
    scratch, bands = Scratch(denoiser, min(size, samples)), Bands(denoiser, mel)
    streams = [
        UpdateStream(
            number,
            update,
            DenoiserStream(denoiser, denoiser.step_biases(update.step), bands, scratch),
            noise,
        )
        for number, update in enumerate(plan.updates, start=1)
    ]
    done = 0
    for start in range(0, samples, size):
        stop = min(start + size, samples)
        beginning = plan.start * noise.draw(0, start, stop)
        progress = Progress(waveform=beginning, clean=torch.zeros_like(beginning))
        for stream in streams:
            progress = stream.push(progress, last=stop == samples)
            if clamp_always:
                progress.waveform.clamp_(-1, 1)
        done += len(progress.waveform)
        bands.forget(done)
        if len(progress.waveform):
            yield progress.waveform.clamp_(-1, 1)
