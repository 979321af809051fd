"""Compares the alignment search on a GPU with the one in C: `python gpu_search_cases.py cpu` in Triton's interpreter.

With TRITON_INTERPRET=1 the kernel runs on the CPU; Triton reads it when it is imported, so this needs a process of its
own. `python gpu_search_cases.py cuda` runs the kernel on a GPU.
"""

from __future__ import annotations

import itertools
import sys

import numpy as np
import torch
from test_alignment import ragged_batch, random_utterance
from torch import Tensor

from allophone.alignment import gpu, monotonic_alignment

Inputs = tuple[Tensor, Tensor, Tensor]


def full(values: Tensor) -> Inputs:
    """A batch without padding."""
    batch, frames, tokens = values.shape
    return values, torch.full((batch,), frames), torch.full((batch,), tokens)


def random_batch(seed: int, rows: int) -> Inputs:
    random = np.random.default_rng(seed)
    return ragged_batch([random_utterance(random) for _ in range(rows)])


def shapes(*sizes: tuple[int, int]) -> Inputs:
    """Scores with many ties, of some sizes (frames, tokens), in one ragged batch."""
    random = np.random.default_rng(1)
    return ragged_batch(
        [np.round(random.standard_normal(size, dtype=np.float32)) for size in sizes]
    )


def poisoned(poison: float) -> Inputs:
    """Scores that no path can reach, and padding, of NaN or infinity."""
    frames, tokens = 50, 36
    frame, token = torch.arange(frames)[:, None], torch.arange(tokens)
    reachable = (token <= frame) & (tokens - token <= frames - frame)
    values = torch.randn(1, frames, tokens, generator=torch.manual_seed(0))
    return full(values.where(reachable, poison))


def check_equal(name: str, device: str, inputs: Inputs, strip_words: int | None) -> None:
    expected = monotonic_alignment(*inputs)
    index, durations = gpu.search(*(one.to(device) for one in inputs), strip_words=strip_words)
    assert torch.equal(index.cpu(), expected.index), f"{name}: index, strips of {strip_words}"
    assert torch.equal(durations.cpu(), expected.durations), f"{name}: durations"


def check_refused(device: str) -> None:
    """Rows that the search in C refuses get empty paths; their neighbours are aligned."""
    values = torch.randn(9, 40, 35, generator=torch.manual_seed(2))
    frames, tokens = torch.full((9,), 40), torch.full((9,), 35)
    values[0, 20, 20] = torch.nan
    values[1, 36, 34] = torch.inf
    values[2] = 1e38  # the sums overflow
    frames[3] = 34  # more tokens than frames
    frames[4], tokens[5], tokens[6], frames[7] = 41, 36, -1, -1
    index, durations = gpu.search(*(one.to(device) for one in (values, frames, tokens)))
    assert not index[:8].any()
    assert not durations[:8].any()
    expected = monotonic_alignment(values[8:], frames[8:], tokens[8:])
    assert torch.equal(index[8:].cpu(), expected.index)
    assert torch.equal(durations[8:].cpu(), expected.durations)


def check_small(device: str) -> None:
    """Small sizes, which take seconds in the interpreter."""
    edges = shapes((1, 1), (40, 1), (32, 32), (33, 32), (33, 33), (65, 64), (65, 65), (70, 31))
    cases: dict[str, Inputs] = {
        "random": random_batch(0, 12),
        "edges": edges,
        "every score -inf": full(torch.full((1, 36, 33), -torch.inf)),
        "NaN beyond reach": poisoned(torch.nan),
        "+inf beyond reach": poisoned(torch.inf),
        "zero lengths": (torch.randn(2, 4, 2), torch.tensor([0, 4]), torch.tensor([0, 0])),
    }
    cases |= {f"{shape}": full(torch.randn(shape)) for shape in ((0, 4, 2), (2, 0, 0), (2, 4, 0))}
    for name, inputs in cases.items():
        check_equal(name, device, inputs, strip_words=None)
    for name in ("random", "edges", "NaN beyond reach"):
        check_equal(name, device, cases[name], strip_words=1)
    check_refused(device)


def check_large(device: str) -> None:
    """Random batches of the sizes of training, and texts of one token less and more than each size of a strip."""
    for seed in range(100):
        check_equal("random", device, random_batch(seed, 64), strip_words=seed % 2 + 1)
    for words, by in itertools.product(gpu.STRIP_WORDS, (-1, 0, 1)):
        tokens = 32 * words + by
        check_equal(
            f"{tokens} tokens", device, shapes((tokens, tokens), (1700, tokens)), strip_words=None
        )
    for tokens in (1500, 4000):
        check_equal(
            f"{tokens} tokens", device, shapes((tokens, tokens), (5000, tokens)), strip_words=None
        )


if __name__ == "__main__":
    check_small(sys.argv[1])
    if sys.argv[1] == "cuda":
        check_large(sys.argv[1])
