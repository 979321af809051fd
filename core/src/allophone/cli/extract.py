"""`allophone extract`: computes and stores the features of each utterance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from allophone.cli.options import experiment_options
from allophone.errors import UserError
from allophone.processes.executors import LOCAL, executor_options, open_executor

if TYPE_CHECKING:
    from allophone.preparation.extract import Extracted

_REVIEWED_HOURS = 2.0
"""The size up to which a corpus is reviewed unless asked."""


@click.command
@experiment_options
@click.option(
    "--shard", default="1/1", metavar="I/N", help="Process only the I-th of N shards of the corpus."
)
@click.option(
    "--review/--no-review",
    "reviewed",
    default=None,
    help="Report recordings and texts that stand out.  [default: for up to 2 hours of speech]",
)
@executor_options(LOCAL)
def command(
    recipe: str,
    overrides: Sequence[str],
    shard: str,
    reviewed: bool | None,
    executor: str,
    workers: int | None,
) -> None:
    """Extract the features of an experiment's utterances into <data.directory>.

    RECIPE is the name of a recipe or a TOML file. Only missing features are computed, so an interrupted
    extraction can be resumed by running the command again. At the end the corpus is reviewed: clipping, noise, silence,
    texts that seem wrong, and rare phonemes.
    """
    from allophone.cli.console import track
    from allophone.config import resolve
    from allophone.preparation.extract import Shard, extract
    from allophone.processes.processors import usable_processors
    from allophone.registry import default_registry

    experiment, part = resolve(recipe, overrides).experiment, Shard.parse(shard)
    if reviewed and part.count > 1:
        raise UserError(
            "--review looks at the whole corpus, and this is one shard of it.",
            hint="Run `allophone extract --review` without --shard when all shards are done.",
        )
    registry = default_registry()
    here = executor == LOCAL and (workers or usable_processors()) == 1
    extracted = extract(
        experiment,
        registry,
        executor=None if here else open_executor(executor, workers, registry),
        shard=part,
        track=track,
    )
    _show(extracted)
    if reviewed is None:
        reviewed = part.count == 1 and extracted.seconds <= 3600 * _REVIEWED_HOURS
    if reviewed:
        from allophone.cli.review_display import show_review
        from allophone.preparation.review import review

        show_review(review(experiment, registry, track=track))


def _show(extracted: Extracted) -> None:
    from allophone.cli.console import console
    from allophone.cli.reporting import show_dropped

    for note, count in sorted(extracted.notes.items()):
        console.print(f"{count:,} recordings: {note}")
    added = ", ".join(f"{name} {count:,}" for name, count in extracted.computed.items() if count)
    console.print(f"newly extracted: {added or 'nothing'}")
    console.print(f"usable: {extracted.usable:,} utterances, {extracted.seconds / 60:,.1f} minutes")
    show_dropped(extracted.dropped, extracted.report)
    show_dropped(extracted.remarks, extracted.remarked, what="used, but odd")
