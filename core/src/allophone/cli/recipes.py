"""`allophone recipes`: lists the recipes of the installed plugins."""

from __future__ import annotations

import click

from allophone.registry import default_registry


@click.command("recipes", help="List the recipes (preset experiments), or print the TOML of one.")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    if name is not None:
        from allophone.config.layers import read_recipe

        click.echo(read_recipe(name), nl=False)
        return
    registry = default_registry()
    recipes = registry.entries("recipes")
    if not recipes:
        click.echo("No installed plugin has recipes.", err=True)
        for hint in registry.unavailable():
            click.echo(hint, err=True)
    width = max((len(recipe) for recipe in recipes), default=0)
    for recipe, entry in sorted(recipes.items()):
        click.echo(f"{recipe:<{width}}  {entry.summary}")
