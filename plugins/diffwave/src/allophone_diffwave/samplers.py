"""Samplers: ways out of the noise, each a plan of linear updates.

Whatever a sampler's theory is, its step comes to this: the denoiser is asked what noise there is; so the
clean waveform is estimated; and the next waveform is a weighted sum of the one at hand, of that estimate,
of the estimate before, and of fresh noise. A plan is these weights, so that one loop serves all samplers.

A noisy waveform is `sqrt(alpha_bar) * clean + sqrt(1 - alpha_bar) * noise`; levels are values of `alpha_bar`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

from attrs import frozen

from allophone_diffwave.controls import DiffwaveControls
from allophone_diffwave.diffusion import NoiseSchedule

FAST_BETAS = (1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5)
"""The six steps that were published with the base model (appendix B)."""


@frozen(kw_only=True)
class Update:
    """From one level to the next.

    step: what the denoiser is told of the level, see `NoiseSchedule.step_of`.
    alpha_bar: the level; the clean waveform is estimated with it.
    keep, clean, previous, noise: weights of the waveform at hand, of the estimate, of the estimate in
        the update before, and of fresh noise of unit variance.
    """

    step: float
    alpha_bar: float
    keep: float
    clean: float
    previous: float = 0.0
    noise: float = 0.0


@frozen(kw_only=True)
class Plan:
    """The updates from noise to a waveform; `start` is the amplitude of the noise at the beginning."""

    start: float
    updates: tuple[Update, ...]


def ancestral(levels: Sequence[float], training: NoiseSchedule) -> Plan:
    """Back the way the noise came, with as much fresh noise as the model's posterior has.

    Ho, Jain and Abbeel 2020, algorithm 2; Kong et al. 2021, algorithms 1 and 2 and appendix B.
    """
    updates = []
    for now, then in pairwise((*levels, 1.0)):
        added = 1 - now / then
        updates.append(
            Update(
                step=training.step_of(now),
                alpha_bar=now,
                keep=math.sqrt(now / then) * (1 - then) / (1 - now),
                clean=math.sqrt(then) * added / (1 - now),
                noise=math.sqrt(added * (1 - then) / (1 - now)),
            )
        )
    return Plan(start=1.0, updates=tuple(updates))


def implicit(levels: Sequence[float], training: NoiseSchedule) -> Plan:
    """Without fresh noise: DDIM (Song, Meng and Ermon 2021, equation 12 with sigma = 0)."""
    return Plan(
        start=math.sqrt(1 - levels[0]),
        updates=tuple(_straight(now, then, training) for now, then in pairwise((*levels, 1.0))),
    )


def multistep(levels: Sequence[float], training: NoiseSchedule) -> Plan:
    """Without fresh noise, and with an eye on how the estimate moves: DPM-Solver++(2M).

    Lu et al. 2022, "DPM-Solver++", algorithm 2. The first update and the last are DDIM's.
    """
    updates = [_straight(levels[0], (*levels, 1.0)[1], training)]
    for before, now, then in zip(levels, levels[1:], (*levels[2:], 1.0), strict=False):
        straight = _straight(now, then, training)
        if then == 1.0:
            updates.append(straight)
            continue
        stride, stride_before = log_ratio(then) - log_ratio(now), log_ratio(now) - log_ratio(before)
        ahead = stride / (2 * stride_before)
        updates.append(
            Update(
                step=straight.step,
                alpha_bar=now,
                keep=straight.keep,
                clean=straight.clean * (1 + ahead),
                previous=-straight.clean * ahead,
            )
        )
    return Plan(start=math.sqrt(1 - levels[0]), updates=tuple(updates))


def _straight(now: float, then: float, training: NoiseSchedule) -> Update:
    """The same noise, less of it."""
    keep = math.sqrt((1 - then) / (1 - now))
    return Update(
        step=training.step_of(now),
        alpha_bar=now,
        keep=keep,
        clean=math.sqrt(then) - math.sqrt(now) * keep,
    )


Sampler = Callable[[Sequence[float], NoiseSchedule], Plan]
"""Levels, the noisiest first, and the schedule of training, which says what step they are."""

SAMPLERS: Mapping[str, Sampler] = MappingProxyType(
    {"ddpm": ancestral, "ddim": implicit, "dpm": multistep}
)


def log_ratio(alpha_bar: float) -> float:
    """The logarithm of the ratio of amplitudes, signal to noise."""
    return 0.5 * math.log(alpha_bar / (1 - alpha_bar))


def plan_of(controls: DiffwaveControls, training: NoiseSchedule) -> Plan:
    """The plan that was chosen."""
    if controls.betas:
        levels = tuple(reversed(NoiseSchedule.adding(controls.betas).alpha_bar))
    else:
        levels = levels_of(controls.steps, training)
    return SAMPLERS[controls.sampler](levels, training)


def levels_of(steps: int, training: NoiseSchedule) -> tuple[float, ...]:
    """`steps` levels from the noisiest of training to its least noisy.

    As many as training had are those. Others are evenly apart in the logarithm of the signal-to-noise
    ratio, as the six published ones nearly are; a single one is the noisiest.
    """
    if steps == len(training):
        return tuple(reversed(training.alpha_bar))
    low, high = log_ratio(training.alpha_bar[-1]), log_ratio(training.alpha_bar[0])
    apart = (high - low) / max(1, steps - 1)
    ratios = [low + apart * step for step in range(steps)]
    return tuple(1 / (1 + math.exp(-2 * ratio)) for ratio in ratios)
