"""A training step of VITS and VITS2 on the CPU, compared with a peer's VITS of the same sizes, with a breakdown.

Run `python benchmarks/training.py [--json]`. Everything is float32 with random weights at the published sizes: 2
utterances of 4 seconds at 22.05 kHz and 80 phonemes each, of which segments of 8192 samples are decoded. The
contenders are interleaved, in a different order each round; the tables show medians. VITS2 has the recommended recipe's
flow and durations, alignment noise and, from the first step, the duration discriminator. Our steps include the
runtime's checks; the peer's step (`benchmarks/training_peers.py`) is that of its trainer.

B batch, T text, F frames, N samples.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from functools import partial

import click
import torch
import training_peers as peers
from attrs import asdict, frozen
from rich.console import Console
from rich.table import Table
from side_by_side import (
    OURS,
    SYMBOLS,
    WARM_UP,
    Step,
    Timing,
    Trained,
    batch_of,
    experiment_of,
    measure,
    show,
    speech_like,
)
from stopwatch import (
    BACKWARD,
    DECODER,
    DISCRIMINATORS,
    FLOW,
    LOSSES,
    PARTS,
    POSTERIOR_ENCODER,
    REST_OF_GENERATOR,
    SEARCH,
    Stopwatch,
)

import allophone_vits.model
import allophone_vits2.alignment

UTTERANCES, PHONEMES, FRAMES = 2, 80, 344


@frozen(kw_only=True)
class Share:
    """Time of a part of a step: milliseconds, the median over the rounds."""

    part: str
    threads: int
    contender: str
    milliseconds: float


class Watched:
    """The contenders' steps, and the times of their parts."""

    def __init__(self, steps: dict[str, Step], stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch
        self._taken: dict[str, list[Mapping[str, float]]] = {name: [] for name in steps}
        self.steps = {name: self._watched(name, step) for name, step in steps.items()}

    def shares(self, threads: int) -> list[Share]:
        """Medians of the parts since the last call."""
        shares = [
            Share(
                part=part,
                threads=threads,
                contender=name,
                milliseconds=round(
                    1000 * statistics.median(seconds[part] for seconds in taken[WARM_UP:]), 1
                ),
            )
            for part in PARTS
            for name, taken in self._taken.items()
        ]
        for taken in self._taken.values():
            taken.clear()
        return shares

    def _watched(self, name: str, step: Step) -> Step:
        return lambda: self._taken[name].append(self._stopwatch.step(step))


def watch(trained: Trained, stopwatch: Stopwatch) -> None:
    """Time the parts of one of our steps."""
    objective, generator = trained.objective, trained.objective.generator
    stopwatch.watch(generator, "forward", REST_OF_GENERATOR)
    stopwatch.watch(generator.posterior_encoder, "forward", POSTERIOR_ENCODER)
    stopwatch.watch(generator.flow, "forward", FLOW)
    stopwatch.watch(generator.decoder, "forward", DECODER)
    stopwatch.watch(objective, "discriminator_step", DISCRIMINATORS)
    stopwatch.watch(objective, "adversarial_losses", LOSSES)
    stopwatch.watch(objective, "reconstruction_losses", LOSSES)
    stopwatch.watch(
        trained.runtime,
        "update",
        lambda optimizer, loss: BACKWARD if optimizer == "generator" else DISCRIMINATORS,
    )


def show_shares(console: Console, threads: int, shares: list[Share]) -> None:
    contenders = list(dict.fromkeys(share.contender for share in shares))
    table = Table("ms", *contenders, title=f"The parts of a step, threads: {threads}")
    for part in PARTS:
        taken = {share.contender: share for share in shares if share.part == part}
        table.add_row(part, *(f"{taken[name].milliseconds:.1f}" for name in contenders))
    console.print(table)


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", "counts", multiple=True, default=(1, 2), show_default=True)
@click.option(
    "--cpu-time",
    is_flag=True,
    help="Measure CPU time of all threads instead of wall time, for busy machines.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def main(rounds: int, counts: tuple[int, ...], cpu_time: bool, as_json: bool) -> None:
    clock = time.process_time if cpu_time else time.perf_counter
    torch.manual_seed(0)
    stopwatch = Stopwatch(clock)
    stopwatch.watch(allophone_vits.model, "monotonic_alignment", SEARCH)
    stopwatch.watch(allophone_vits2.alignment, "monotonic_alignment", SEARCH)
    ours = {
        f"{OURS}, VITS": experiment_of("vits/ljspeech"),
        f"{OURS}, VITS2": experiment_of(
            "vits2/ljspeech-nosdp", "trainer.duration_discriminator.start=0"
        ),
    }
    hop_length = next(iter(ours.values())).experiment.audio.hop_length
    waveform = speech_like(UTTERANCES, FRAMES * hop_length)
    tokens = torch.randint(1, len(SYMBOLS), (UTTERANCES, PHONEMES))
    batch = batch_of({"waveform": waveform, "phonemes": tokens})
    steps: dict[str, Step] = {}
    parameters: dict[str, dict[str, int]] = {}
    for name, trained in ours.items():
        watch(trained, stopwatch)
        steps[name] = partial(trained.runtime.take_step, [batch])
        parameters[name] = {
            module: sum(parameter.numel() for parameter in part.parameters())
            for module, part in trained.objective.modules.items()
        }
    theirs = peers.model_of(len(SYMBOLS))
    given = peers.Utterances(tokens=tokens, waveform=waveform)
    steps[peers.COQUI] = peers.training_step(theirs, given, stopwatch)
    parameters[peers.COQUI] = peers.parameters(theirs)

    watched = Watched(steps, stopwatch)
    timings: list[Timing] = []
    shares: dict[int, list[Share]] = {}
    for threads in counts:
        torch.set_num_threads(threads)
        timings += measure("training step", watched.steps, threads, rounds, clock)
        shares[threads] = watched.shares(threads)
    if as_json:
        plain = {
            "parameters": parameters,
            "steps": [asdict(row) for row in timings],
            "parts": [asdict(share) for one in shares.values() for share in one],
        }
        click.echo(json.dumps(plain, indent=1))
        return
    console = Console(width=120)
    for name, counted in parameters.items():
        console.print(
            f"{name}: " + ", ".join(f"{part} {count:,}" for part, count in counted.items())
        )
    show(console, "Training steps", timings)
    for threads, one in shares.items():
        show_shares(console, threads, one)


if __name__ == "__main__":
    main()
