"""`allophone config`: shows the resolved configuration and where each value comes from, or validates it."""

from __future__ import annotations

import json

import click

from allophone.cli.options import experiment_options, stage_option


@click.group("config", help="Show or check an experiment's configuration.")
def command() -> None:
    pass


@command.command("show", help="Print the resolved configuration as TOML.")
@experiment_options
@stage_option
@click.option("--origins", is_flag=True, help="Print where each value was set.")
def show(recipe: str, overrides: tuple[str, ...], stage: str | None, origins: bool) -> None:
    import toml

    from allophone.config import resolve
    from allophone.config.tables import leaves

    resolved = resolve(recipe, overrides, stage=stage)
    if not origins:
        click.echo(toml.dumps(resolved.plain), nl=False)
        return
    rows = [
        (f"{path} = {json.dumps(value, ensure_ascii=False)}", resolved.origins[path])
        for path, value in leaves(resolved.plain)
    ]
    width = min(max(len(row) for row, _ in rows), 60)
    for row, origin in rows:
        click.echo(f"{row:<{width}}  # {origin}")


@command.command("check", help="Validate the configuration.")
@experiment_options
@stage_option
def check(recipe: str, overrides: tuple[str, ...], stage: str | None) -> None:
    from allophone.config import resolve

    resolve(recipe, overrides, stage=stage)
    click.echo(f"{recipe} is valid.")
