"""A decoding step of VALL-E's autoregressive model on the CPU: with its cache, without, and compared with a peer.

Run `python benchmarks/decoding.py [--json]`. Everything is float32 with random weights at the published size: 12
layers, 1024 channels, 16 heads. A step samples a code for each row after a text of 100 ids and as many codes as
the context says. Without the cache, the whole context is recomputed, as the public implementations of VALL-E do.
The peer is a decoder of the same shape (OPT) of `transformers`, with its static cache and greedy decoding.
The contenders are interleaved, in a different order each round; the table shows medians.

B batch, S steps.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

import click
import torch
from attrs import asdict, frozen
from rich.console import Console
from rich.table import Table
from side_by_side import WARM_UP, Step, Timing, measure
from transformers import OPTConfig, OPTForCausalLM, StaticCache

from allophone_valle.ar import ArModel
from allophone_valle.config import ArConfig, ValleControls
from allophone_valle.decoding import ArDecoder, ArPrefix

CACHED, ANEW, PEER = "allophone", "allophone, all anew", "transformers, static cache"
TEXT, SYMBOLS, BINS = 100, 80, 1024


@frozen(kw_only=True)
class Row:
    """Milliseconds per step of a contender with a context, and codes per second over all rows."""

    context: int
    batch: int
    threads: int
    contender: str
    milliseconds: float
    codes_a_second: float
    times_anew: float
    times_peer: float


def cached(model: ArModel, context: int, batch: int, steps: int) -> Step:
    """Our step, whose context grows by one each time."""
    codes = context - TEXT - 1  # The symbol that codes begin with is one of the context.
    rows = [
        ArPrefix(
            text=torch.randint(SYMBOLS, (TEXT,)),
            codes=torch.randint(BINS, (codes,)),
            min_length=steps + 1,
            max_length=steps + 1,
            seed=seed,
        )
        for seed in range(batch)
    ]
    with torch.inference_mode():
        decoder = ArDecoder(model, rows, ValleControls())
        decoder.first_step()
    return torch.inference_mode()(decoder.step)


def anew(model: ArModel, context: int, batch: int) -> Step:
    """The same without a cache."""
    text = torch.randint(SYMBOLS, (batch, TEXT))
    inputs = torch.randint(BINS, (batch, context - TEXT + 1, 1))
    lengths = torch.full((batch,), TEXT), torch.full((batch,), inputs.size(1))

    @torch.inference_mode()
    def step() -> None:
        model(text, lengths[0], inputs, lengths[1])[:, -1, 0].softmax(1).multinomial(1)

    return step


def peer(model: OPTForCausalLM, context: int, batch: int, steps: int) -> Step:
    """The peer's step, its cache as large as ours."""
    cache = StaticCache(config=model.config, max_cache_len=context + steps + 1)
    with torch.inference_mode():
        model(torch.randint(BINS, (batch, context)), past_key_values=cache, use_cache=True)
    code = torch.randint(BINS, (batch, 1))
    position = torch.tensor([context])

    @torch.inference_mode()
    def step() -> None:
        logits = model(code, past_key_values=cache, cache_position=position, use_cache=True).logits
        code.copy_(logits[:, -1].argmax(1, keepdim=True))
        position.add_(1)

    return step


def models() -> tuple[ArModel, OPTForCausalLM]:
    """Both with random weights."""
    torch.manual_seed(0)
    config = ArConfig()
    ours = ArModel(config, vocabulary_size=SYMBOLS, bins=BINS).eval()
    theirs = OPTForCausalLM(
        OPTConfig(
            vocab_size=BINS + 2,
            hidden_size=config.channels,
            word_embed_proj_dim=config.channels,
            num_hidden_layers=config.layers,
            ffn_dim=config.feed_forward_channels,
            num_attention_heads=config.heads,
        )
    )
    return ours, theirs.eval()


def rows_of(timings: list[Timing], context: int, batch: int) -> Iterable[Row]:
    taken = {timing.contender: timing.milliseconds for timing in timings}
    for timing in timings:
        yield Row(
            context=context,
            batch=batch,
            threads=timing.threads,
            contender=timing.contender,
            milliseconds=timing.milliseconds,
            codes_a_second=round(1000 * batch / timing.milliseconds, 1),
            times_anew=round(taken[ANEW] / timing.milliseconds, 1),
            times_peer=round(taken[PEER] / timing.milliseconds, 2),
        )


def show(console: Console, rows: list[Row]) -> None:
    columns = ["context", "rows", "threads", "contender", "ms", "codes a second"]
    table = Table(*columns, "times anew", "times the peer", title="A step of decoding")
    for row in rows:
        table.add_row(*(str(value) for value in asdict(row).values()))
    console.print(table)


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", "counts", multiple=True, default=(1, 2), show_default=True)
@click.option("--context", "contexts", multiple=True, default=(325, 700, 1075), show_default=True)
@click.option("--batch", "batches", multiple=True, default=(1, 8), show_default=True)
@click.option(
    "--cpu-time",
    is_flag=True,
    help="Measure CPU time of all threads instead of wall time, for busy machines.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def main(
    rounds: int,
    counts: tuple[int, ...],
    contexts: tuple[int, ...],
    batches: tuple[int, ...],
    cpu_time: bool,
    as_json: bool,
) -> None:
    clock = time.process_time if cpu_time else time.perf_counter
    ours, theirs = models()
    rows: list[Row] = []
    for threads in counts:
        torch.set_num_threads(threads)
        for batch in batches:
            for context in contexts:
                turns = rounds + WARM_UP
                steps = {
                    CACHED: cached(ours, context, batch, turns),
                    ANEW: anew(ours, context, batch),
                    PEER: peer(theirs, context, batch, turns),
                }
                timings = measure("step", steps, threads, rounds, clock)
                rows += rows_of(timings, context, batch)
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        show(Console(), rows)


if __name__ == "__main__":
    main()
