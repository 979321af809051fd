"""Monotonic alignment search compared with peers on PyPI, and with reading its input once.

Run `python benchmarks/alignment.py [--json]`. The peers, `monotonic-alignment-search` and
`monotonic-align`, are called through their public API, from a torch tensor to a path.
Reading once is `torch.sum` of the same tensor. Everything is float32 on one thread unless a row says
otherwise; the contenders are interleaved, in a different order each round, and the tables show medians.
All paths are compared with ours before timing.

The second table times the alignment part of a training step: scores of a diagonal Gaussian prior,
search, expansion of the prior to frames, divergence, backward. Ours is that of the VITS plugin:
scores from one batched matrix product, expansion by index. The peers' way multiplies with the dense
path, as the reference and its descendants do. The gradients are compared too.

Shapes: B batch, C channels, F frames, T text tokens.
"""

from __future__ import annotations

import os

# Set before torch is imported, so that the peers and torch use one thread.
os.environ["OMP_NUM_THREADS"] = "1"

import gc
import importlib
import json
import math
import random
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import click
import torch
from attrs import asdict, field, frozen
from rich.console import Console
from rich.table import Table
from torch import Tensor

from allophone.alignment import instruction_set, instruction_sets, monotonic_alignment
from allophone_vits.gaussian import Gaussian
from allophone_vits.model import align

SIZES = [(1, 300, 50), (16, 500, 100), (32, 1000, 200), (64, 1600, 400)]
BLOCK_SIZES = [(16, 500, 100), (32, 1000, 200)]
CHANNELS = 192
"""Channels of the prior, as in VITS."""

READ_ONCE = "reading the input once"
PEERS = {
    "monotonic-align": "monotonic_align",
    "monotonic-alignment-search": "monotonic_alignment_search",
}
"""Distribution name to import name."""

MaximumPath = Callable[[Tensor, Tensor], Tensor]
"""Scores and mask [B, F, T] to the dense path [B, F, T]."""


@frozen(kw_only=True)
class Timing:
    """One row of a table."""

    contender: str
    milliseconds: float = field()
    """The median."""
    speed_up: float | None = field()
    """How many times as fast as the best peer."""
    reads: float | None = field()
    """How many times as long as reading the input once."""


def peers() -> tuple[dict[str, MaximumPath], list[str]]:
    """The search functions of installed peers, and the names of missing ones."""
    found: dict[str, MaximumPath] = {}
    for name, module in PEERS.items():
        try:
            found[name] = importlib.import_module(module).maximum_path
        except ImportError:
            continue
    return found, [name for name in PEERS if name not in found]


def text_major(name: str) -> bool:
    """Whether the peer expects [B, T, F]; it gets that layout at no cost."""
    return name == "monotonic-alignment-search"


def interleaved(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median milliseconds of each contender, each called once per round.

    Each round has another order: what was called before decides what lies in the caches.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders.items())
    shuffle = random.Random(0).shuffle
    for call in contenders.values():
        call()
    gc.disable()
    for _ in range(rounds):
        shuffle(order)
        for name, call in order:
            started = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - started)
    gc.enable()
    return {name: 1000 * statistics.median(seconds) for name, seconds in times.items()}


def timings(medians: Mapping[str, float]) -> list[Timing]:
    of_peers = [medians[name] for name in PEERS if name in medians]
    read_once = medians.get(READ_ONCE)
    return [
        Timing(
            contender=name,
            milliseconds=median,
            speed_up=min(of_peers) / median if of_peers else None,
            reads=median / read_once if read_once else None,
        )
        for name, median in medians.items()
    ]


def search_contenders(
    installed: Mapping[str, MaximumPath], batch: int, frames: int, tokens: int
) -> dict[str, Callable[[], object]]:
    values = torch.randn(batch, frames, tokens)
    mask = torch.ones_like(values)
    lengths = torch.full((batch,), frames), torch.full((batch,), tokens)
    path = monotonic_alignment(values, *lengths).dense()

    contenders: dict[str, Callable[[], object]] = {READ_ONCE: values.sum}
    for name, maximum_path in installed.items():
        inputs = (values, mask)
        if text_major(name):
            inputs = (values.mT.contiguous(), mask.mT.contiguous())
        theirs = maximum_path(*inputs)
        if not torch.equal(theirs.mT.bool() if text_major(name) else theirs.bool(), path):
            raise click.ClickException(f"{name} finds a different path.")
        contenders[name] = partial(maximum_path, *inputs)
    ours = partial(monotonic_alignment, values, *lengths)
    for name in instruction_sets():
        contenders[f"allophone, {name}"] = partial(ours, threads=1, instruction_set=name)
    contenders[f"allophone, {instruction_set()}, 2 threads"] = partial(ours, threads=2)
    return contenders


def divergence(z: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """The part of the KL term of VITS that depends on the prior; everything [B, C, F]."""
    return (log_std + 0.5 * (z - mean) ** 2 * torch.exp(-2 * log_std)).mean()


def block_by_index(
    z: Tensor, mean: Tensor, log_std: Tensor, frame_lengths: Tensor, token_lengths: Tensor
) -> Tensor:
    """The computation of the VITS plugin."""
    prior = Gaussian(mean=mean, log_scale=log_std)
    expanded = prior.expand(align(z, prior, frame_lengths, token_lengths).index)
    return divergence(z, expanded.mean, expanded.log_scale)


def block_by_path(
    z: Tensor, mean: Tensor, log_std: Tensor, maximum_path: MaximumPath, mask: Tensor
) -> Tensor:
    """The computation of the peers; the mask is [B, T, F] or [B, F, T], as the peer expects."""
    transposed = mask.shape[2] == z.shape[2]
    with torch.no_grad():
        precision = torch.exp(-2 * log_std)
        scores = (-0.5 * math.log(2 * math.pi) - log_std).sum(dim=1, keepdim=True)
        scores = scores + torch.matmul(-0.5 * z.mT**2, precision)
        scores = scores + torch.matmul(z.mT, mean * precision)
        scores = scores + (-0.5 * mean**2 * precision).sum(dim=1, keepdim=True)
        path = maximum_path(scores.mT.contiguous() if transposed else scores, mask)
    by_token = path if transposed else path.mT
    return divergence(z, torch.matmul(mean, by_token), torch.matmul(log_std, by_token))


def block_contenders(
    installed: Mapping[str, MaximumPath], batch: int, frames: int, tokens: int
) -> dict[str, Callable[[], object]]:
    inputs = [
        tensor.requires_grad_()
        for tensor in (
            torch.randn(batch, CHANNELS, frames),
            torch.randn(batch, CHANNELS, tokens),
            0.1 * torch.randn(batch, CHANNELS, tokens),
        )
    ]
    lengths = torch.full((batch,), frames), torch.full((batch,), tokens)

    def step(block: Callable[..., Tensor], *rest: object) -> list[Tensor]:
        return list(torch.autograd.grad(block(*inputs, *rest), inputs))

    ours = step(block_by_index, *lengths)
    contenders: dict[str, Callable[[], object]] = {}
    for name, maximum_path in installed.items():
        mask = torch.ones((batch, tokens, frames) if text_major(name) else (batch, frames, tokens))
        theirs = step(block_by_path, maximum_path, mask)
        for gradient, other in zip(ours, theirs, strict=True):
            if not torch.allclose(gradient, other, rtol=1e-4, atol=1e-9):
                raise click.ClickException(f"{name} gives different gradients.")
        contenders[name] = partial(step, block_by_path, maximum_path, mask)
    contenders["allophone"] = partial(step, block_by_index, *lengths)
    return contenders


def show(console: Console, title: str, results: list[dict[str, Any]]) -> None:
    table = Table(title=title)
    for heading in ("B, F, T", "contender"):
        table.add_column(heading, no_wrap=True)
    for heading in ("ms", "times best peer's speed", "times reading once"):
        table.add_column(heading, justify="right")
    for result in results:
        size = ", ".join(str(extent) for extent in result["size"])
        for timing in result["timings"]:
            table.add_row(
                size,
                timing.contender,
                f"{timing.milliseconds:.4g}",
                f"{timing.speed_up:.1f}" if timing.speed_up else "",
                f"{timing.reads:.2f}" if timing.reads else "",
            )
            size = ""
        table.add_section()
    console.print(table)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--rounds", default=30, show_default=True, help="Rounds at the largest size.")
def main(as_json: bool, rounds: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    installed, missing = peers()

    results: dict[str, list[dict[str, Any]]] = {"search": [], "block": []}
    for kind, sizes, contenders in (
        ("search", SIZES, search_contenders),
        ("block", BLOCK_SIZES, block_contenders),
    ):
        for size in sizes:
            small = math.prod(size) < 2_000_000
            medians = interleaved(contenders(installed, *size), rounds * 5 if small else rounds)
            results[kind].append({"size": size, "timings": timings(medians)})

    if as_json:
        click.echo(
            json.dumps(
                {"missing": missing, **results},
                default=asdict,
                indent=2,
            )
        )
        return
    console = Console()
    show(console, "Monotonic alignment search, one thread", results["search"])
    show(console, "Scores, search, expansion, divergence, backward; one thread", results["block"])
    if missing:
        console.print(f"Skipped, because not installed: pip install {' '.join(missing)}")


if __name__ == "__main__":
    main()
