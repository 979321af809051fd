"""Samplers, each as a plan of linear updates.

In each update, the denoiser predicts the noise, which gives an estimate of the clean waveform. The next waveform
is a weighted sum of the current waveform, this estimate, the previous estimate, and fresh noise. A plan holds
these weights, so that one loop can run all samplers.

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
    """The update from one noise level to the next.

    step: the input of the denoiser, see `NoiseSchedule.fractional_step`.
    alpha_bar: the current level, used to estimate the clean waveform.
    keep, clean, previous, noise: weights of the current waveform, of the estimate, of the estimate in
        the previous update, and of fresh noise of unit variance.
    """

    step: float
    alpha_bar: float
    keep: float
    clean: float
    previous: float = 0.0
    noise: float = 0.0


@frozen(kw_only=True)
class Plan:
    """The updates from noise to a waveform; `start` is the amplitude of the initial noise."""

    start: float
    updates: tuple[Update, ...]


def ancestral(levels: Sequence[float], training: NoiseSchedule) -> Plan:
    """DDPM: ancestral sampling, with fresh noise in each update.

    Ho, Jain and Abbeel 2020, algorithm 2; Kong et al. 2021, algorithms 1 and 2 and appendix B.
    """
    updates = []
    for now, then in pairwise((*levels, 1.0)):
        added = 1 - now / then
        updates.append(
            Update(
                step=training.fractional_step(now),
                alpha_bar=now,
                keep=math.sqrt(now / then) * (1 - then) / (1 - now),
                clean=math.sqrt(then) * added / (1 - now),
                noise=math.sqrt(added * (1 - then) / (1 - now)),
            )
        )
    return Plan(start=1.0, updates=tuple(updates))


def implicit(levels: Sequence[float], training: NoiseSchedule) -> Plan:
    """DDIM, without fresh noise (Song, Meng and Ermon 2021, equation 12 with sigma = 0)."""
    return Plan(
        start=math.sqrt(1 - levels[0]),
        updates=tuple(_ddim_update(now, then, training) for now, then in pairwise((*levels, 1.0))),
    )


def multistep(levels: Sequence[float], training: NoiseSchedule) -> Plan:
    """DPM-Solver++(2M): second order, without fresh noise.

    Lu et al. 2022, "DPM-Solver++", algorithm 2. The first and the last update are those of DDIM.
    """
    updates = [_ddim_update(levels[0], (*levels, 1.0)[1], training)]
    for before, now, then in zip(levels, levels[1:], (*levels[2:], 1.0), strict=False):
        straight = _ddim_update(now, then, training)
        if then == 1.0:
            updates.append(straight)
            continue
        stride, stride_before = (
            half_log_snr(then) - half_log_snr(now),
            half_log_snr(now) - half_log_snr(before),
        )
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


def _ddim_update(now: float, then: float, training: NoiseSchedule) -> Update:
    """An update of DDIM, from level `now` to level `then`."""
    keep = math.sqrt((1 - then) / (1 - now))
    return Update(
        step=training.fractional_step(now),
        alpha_bar=now,
        keep=keep,
        clean=math.sqrt(then) - math.sqrt(now) * keep,
    )


Sampler = Callable[[Sequence[float], NoiseSchedule], Plan]
"""Takes the noise levels, the noisiest first, and the schedule of training."""

SAMPLERS: Mapping[str, Sampler] = MappingProxyType(
    {"ddpm": ancestral, "ddim": implicit, "dpm": multistep}
)


def half_log_snr(alpha_bar: float) -> float:
    """The logarithm of the signal-to-noise ratio of amplitudes."""
    return 0.5 * math.log(alpha_bar / (1 - alpha_bar))


def make_plan(controls: DiffwaveControls, training: NoiseSchedule) -> Plan:
    """The plan for `controls`."""
    if controls.betas:
        levels = tuple(reversed(NoiseSchedule.from_betas(controls.betas).alpha_bar))
    else:
        levels = noise_levels(controls.steps, training)
    return SAMPLERS[controls.sampler](levels, training)


def noise_levels(steps: int, training: NoiseSchedule) -> tuple[float, ...]:
    """`steps` levels, from the noisiest to the least noisy of training.

    The number of training steps gives the training schedule. Other numbers are evenly spaced in log-SNR, as
    the six published steps nearly are; a single step uses the noisiest level.
    """
    if steps == len(training):
        return tuple(reversed(training.alpha_bar))
    low, high = half_log_snr(training.alpha_bar[-1]), half_log_snr(training.alpha_bar[0])
    apart = (high - low) / max(1, steps - 1)
    ratios = [low + apart * step for step in range(steps)]
    return tuple(1 / (1 + math.exp(-2 * ratio)) for ratio in ratios)
