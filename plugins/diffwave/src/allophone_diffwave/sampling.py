"""Following a sampler's plan: the noise that it draws, and one update.

Legend: N samples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from attrs import frozen
from torch import Tensor

from allophone_diffwave.samplers import Plan, Update

NOISE_BLOCK = 4096


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
    """Where a waveform is between noise and sound.

    waveform: [N] or [B, N], as noisy as the next update expects. clean: the last estimate of what it
        becomes, of the same shape.
    """

    waveform: Tensor
    clean: Tensor


def advance(progress: Progress, seen: Tensor, update: Update, noise: Tensor | None) -> Progress:
    """One update, after the denoiser has `seen` noise in the waveform; all of one shape."""
    waveform = progress.waveform
    clean = (waveform - (1 - update.signal) ** 0.5 * seen) / update.signal**0.5
    moved = update.keep * waveform + update.clean * clean
    if update.previous:
        moved += update.previous * progress.clean
    if noise is not None:
        moved += update.noise * noise
    return Progress(waveform=moved, clean=clean)


def follow(
    plan: Plan, noise: SeededNoise, samples: int, denoise: Callable[[Tensor, float], Tensor]
) -> Tensor:
    """A waveform [N], from -1 to 1: `denoise` is given one [N] and a step, and gives the noise in it."""
    beginning = plan.start * noise.draw(0, 0, samples)
    progress = Progress(waveform=beginning, clean=torch.zeros_like(beginning))
    for number, update in enumerate(plan.updates, start=1):
        seen = denoise(progress.waveform, update.step)
        fresh = noise.draw(number, 0, samples) if update.noise else None
        progress = advance(progress, seen, update, fresh)
    return progress.waveform.clamp(-1, 1)
