"""The command line. Each command lives in a file of its own, imported when it is called."""

from __future__ import annotations

import importlib
import os
import sys

import click

from allophone.errors import UserError

COMMANDS = {
    "say": "Speak a text with a voice.",
    "synthesize": "Speak many texts: a split of a manifest, or a list.",
    "vocode": "Make mel spectrograms heard through a vocoder.",
    "demo": "Open a page in the browser on which voices speak.",
    "convert": "Say a recording again in another speaker's voice.",
    "prepare": "List a corpus's utterances in a manifest, with splits.",
    "extract": "Compute and store what training needs of each utterance.",
    "train": "Train, resume or fine-tune a model.",
    "import": "Turn somebody else's checkpoint into a voice.",
    "export": "Write a voice in a format that others speak with.",
    "config": "Show or check an experiment's configuration.",
    "recipes": "List the preset experiments, or show one.",
    "plugins": "List what is installed, and what is broken.",
    "doctor": "Check this machine and what is installed on it.",
    "new-plugin": "Write a small plugin to start from.",
}
"""Name and summary of each command; its code is `allophone.cli.<name>:command`."""


class LazyGroup(click.Group):
    """Lists the commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = "import_" if cmd_name == "import" else cmd_name.replace("-", "_")
        command: click.Command = importlib.import_module(f"allophone.cli.{module}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from allophone.errors import near_miss

        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            ctx.fail(f"There is no command '{name}'. {near_miss(name, COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="allophone")
def allophone() -> None:
    """Text-to-speech whose model families are plugins."""


def main() -> None:
    """Run the command line; what a user can put right is printed without a traceback, status 2.

    ALLOPHONE_TRACEBACK=1 shows the traceback all the same.
    """
    try:
        allophone(prog_name="allophone")
    except UserError as error:
        if os.environ.get("ALLOPHONE_TRACEBACK", "") not in ("", "0"):
            raise
        click.secho("Error: ", fg="red", bold=True, err=True, nl=False)
        click.echo(error.message, err=True)
        if error.hint:
            click.echo(error.hint, err=True)
        sys.exit(2)
