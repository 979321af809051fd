"""Batches of sentences in onnxruntime, beside sentences one by one in one thread, in two, and in two workers.

    python benchmarks/batching.py --rounds 15

Runs Piper's own graph of `joe` with sentences of equal length, the best case for a batch. Processor time is that of
all threads, and little affected by other programs; wall time needs a quiet machine.
"""

# ruff: noqa: T201 - a command that prints

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from allophone_onnx.session import session_options
from allophone_voice_joe.files import locate

SYMBOLS = (12, 40)
BATCHES = (1, 2, 4, 8)

Session = Any
Feed = Mapping[str, NDArray[Any]]


def open_session(threads: int) -> Session:
    """The graph of joe in a session with so many threads."""
    return onnxruntime.InferenceSession(
        str(locate()), session_options(threads), providers=["CPUExecutionProvider"]
    )


def sentences(count: int, symbols: int) -> Feed:
    """A batch of random phonemes with a blank between each, as Piper writes them."""
    ids = np.zeros((count, 2 * symbols + 1), dtype=np.int64)
    ids[:, 1::2] = np.random.default_rng(0).integers(14, 60, symbols)
    return {
        "input": ids,
        "input_lengths": np.full(count, ids.shape[1]),
        "scales": np.array([0, 1, 0], dtype=np.float32),
    }


def one_by_one(session: Session, feed: Feed, count: int, workers: int) -> None:
    """Synthesize a sentence so many times."""
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda _: session.run(None, feed), range(count)))


def ways(
    narrow: Session, wide: Session, count: int, symbols: int
) -> Mapping[str, Callable[[], Any]]:
    """What is compared, by name."""
    batch, single = sentences(count, symbols), sentences(1, symbols)
    return {
        "a batch, one thread": partial(narrow.run, None, batch),
        "a batch, two threads": partial(wide.run, None, batch),
        "one by one, two threads": partial(one_by_one, wide, single, count, 1),
        "two workers of one thread": partial(one_by_one, narrow, single, count, 2),
    }


def main(rounds: int) -> None:
    """Print milliseconds per sentence: the least processor time and the least wall time of all rounds."""
    narrow, wide = open_session(1), open_session(2)
    for symbols in SYMBOLS:
        (audio,) = wide.run(None, sentences(1, symbols))[:1]
        print(
            f"\n{symbols} symbols, {audio.size / 22050:.2f} s; processor time (wall time), ms per sentence\n"
        )
        print("| | " + " | ".join(map(str, BATCHES)) + " |")
        print("|---|" + "---|" * len(BATCHES))
        measured: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for _ in range(rounds):
            for count in BATCHES:
                for name, run in ways(narrow, wide, count, symbols).items():
                    wall, busy = time.perf_counter(), time.process_time()
                    run()
                    found = time.process_time() - busy, time.perf_counter() - wall
                    measured.setdefault((name, count), []).append(found)
        for name in dict.fromkeys(name for name, _ in measured):
            least = [np.min(measured[name, count], axis=0) / count * 1e3 for count in BATCHES]
            print(
                f"| {name} | "
                + " | ".join(f"{busy:.1f} ({wall:.1f})" for busy, wall in least)
                + " |"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    main(parser.parse_args().rounds)
