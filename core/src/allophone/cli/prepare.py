"""`allophone prepare`: writes the manifest of a corpus, with splits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from allophone.cli.options import experiment_options

if TYPE_CHECKING:
    from allophone.preparation.prepare import Prepared

_SHOWN = 5
"""Bad rows of a corpus that are shown; a file names them all."""


@click.command
@experiment_options
@click.option("--root", help="The folder of the (first) corpus; sets data.corpora.0.root.")
def command(recipe: str, overrides: Sequence[str], root: str | None) -> None:
    """Write the manifest of an experiment's corpora to <data.directory>/manifest.jsonl.

    RECIPE is the name of a recipe or a TOML file.
    """
    from allophone.cli.console import track
    from allophone.config import resolve
    from allophone.preparation.prepare import prepare
    from allophone.registry import default_registry

    if root is not None:
        quoted = root.replace("\\", "\\\\").replace('"', '\\"')
        overrides = [*overrides, f'data.corpora.0.root="{quoted}"']
    _show(prepare(resolve(recipe, overrides).experiment, default_registry(), track=track))


def _show(prepared: Prepared) -> None:
    from rich.table import Table

    from allophone.cli.console import console, status

    for corpus, count in prepared.corpora.items():
        if count.bad_rows:
            status.print(
                f"{corpus}: {len(count.bad_rows)} of {count.utterances + len(count.bad_rows)} rows "
                f"hold no utterance and are left out (each is named in {prepared.bad_rows}):",
                style="yellow",
                markup=False,
                soft_wrap=True,
            )
            for row in count.bad_rows[:_SHOWN]:
                status.print(f"  {row.message}", style="yellow", markup=False, soft_wrap=True)
            if len(count.bad_rows) > _SHOWN:
                status.print("  ...", style="yellow")
        if count.missing:
            status.print(
                f"{corpus}: {len(count.missing)} of {count.utterances} recordings are missing "
                f"({', '.join(count.missing[:3])}{', ...' if len(count.missing) > 3 else ''}); "
                "extraction will skip them.",
                style="yellow",
            )
    if prepared.unlabelled:
        status.print(
            f"{len(prepared.unlabelled)} utterances have no file in data.labels "
            f"({', '.join(prepared.unlabelled[:3])}{', ...' if len(prepared.unlabelled) > 3 else ''}); "
            "features that need phone times will skip them.",
            style="yellow",
        )
    console.print(f"Wrote {prepared.manifest}", soft_wrap=True)
    table = Table()
    table.add_column("split")
    table.add_column("utterances", justify="right")
    for split, utterances in prepared.splits.items():
        table.add_row(split, f"{utterances:,}")
    table.add_section()
    table.add_row("all", f"{sum(prepared.splits.values()):,}")
    console.print(table)
    console.print(f"speakers: {prepared.speakers}, languages: {', '.join(prepared.languages)}")
    for split in ("train", "valid"):
        if not prepared.splits[split]:
            status.print(
                f"The split '{split}' is empty; check [data.splits] and the corpus's own splits.",
                style="yellow",
                markup=False,
            )
