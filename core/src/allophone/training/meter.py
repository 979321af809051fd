"""Meters for the training log: averages over batches and ranks, throughput, and memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from allophone.data.batch import Batch
from allophone.training.objective import Metrics
from allophone.training.ranks import Rank


class AverageMeter:
    """Weighted averages of scalars by name, in double precision.

    Tensors stay on their device until `collect`, so `add` does not synchronize.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor | float] = {}
        self._weights: dict[str, float] = {}

    def add(self, metrics: Metrics, weight: float = 1.0) -> None:
        """Add some metrics."""
        for name, value in metrics.items():
            part = value.double() * weight if isinstance(value, Tensor) else value * weight
            self._sums[name] = self._sums.get(name, 0.0) + part
            self._weights[name] = self._weights.get(name, 0.0) + weight

    def collect(self, rank: Rank) -> dict[str, float]:
        """Return the averages over all ranks since the last call. Collective: every rank must call it."""
        mine = {name: (float(self._sums[name]), self._weights[name]) for name in self._sums}
        self._sums, self._weights = {}, {}
        sums: dict[str, float] = {}
        weights: dict[str, float] = {}
        for of_one in rank.gather(mine):
            for name, (part, weight) in of_one.items():
                sums[name] = sums.get(name, 0.0) + part
                weights[name] = weights.get(name, 0.0) + weight
        return {name: sums[name] / weights[name] for name in sums}


class SpeedMeter:
    """Measures steps, utterances and seconds of audio per second of training."""

    def __init__(self) -> None:
        self._restart()

    def _restart(self) -> None:
        self._since = time.perf_counter()
        self._steps = 0
        self._utterances = 0
        self._audio_seconds = 0.0

    def add(self, batches: Sequence[Batch]) -> None:
        """Count one step."""
        self._steps += 1
        self._utterances += sum(len(batch) for batch in batches)
        self._audio_seconds += sum(batch.audio_seconds for batch in batches)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Context manager whose time does not count as training time."""
        began = time.perf_counter()
        yield
        self._since += time.perf_counter() - began

    def collect(self, rank: Rank) -> dict[str, float]:
        """Return the total throughput of all ranks since the last call, and their highest peak memory.

        Collective: every rank must call it.
        """
        seconds = time.perf_counter() - self._since
        mine = (self._utterances, self._audio_seconds, peak_memory_bytes(rank.device))
        utterances, audio_seconds, memory = zip(*rank.gather(mine), strict=True)
        steps = self._steps
        self._restart()
        return {
            "steps": steps / seconds,
            "utterances": sum(utterances) / seconds,
            "audio_seconds": sum(audio_seconds) / seconds,
            "peak_memory_bytes": max(memory),
        }


def peak_memory_bytes(device: torch.device) -> int:
    """Return the peak memory of this process, on the GPU for a CUDA device."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
