"""The command line interface. Commands are plugin entries, imported when they are called."""

from __future__ import annotations

import atexit
import gc
import importlib.metadata
import os
import sys
import threading
import traceback
from typing import NoReturn

import click

from allophone.errors import PluginError, UserError
from allophone.files.system_errors import told
from allophone.plugin import CORE, extra_providing
from allophone.processes.lifetime import ignore_stops
from allophone.registry import Registry, default_registry, strict_plugins


class EntryGroup(click.Group):
    """Lists the commands of the core and the plugins without importing them."""

    @property
    def registry(self) -> Registry:
        """The registry of the commands."""
        return default_registry()

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.registry.entries("commands"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.registry.entries("commands"):
            return None
        command: click.Command = self.registry.load("commands", cmd_name, "command")
        if not isinstance(command, click.Command):
            raise PluginError(
                f"The command '{cmd_name}' of {self.registry.owner('commands', cmd_name).distribution} "
                f"is {command!r}, not a click.Command."
            )
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-"):
            self.registry.find("commands", args[0])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (entry.name, entry.summary)
                    for entry in self.registry.entries("commands").values()
                ]
            )


@click.group(cls=EntryGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="allophone")
def allophone() -> None:
    """Text-to-speech with pluggable model families."""


def traceback_wanted() -> bool:
    """Whether ALLOPHONE_TRACEBACK is set."""
    return os.environ.get("ALLOPHONE_TRACEBACK", "") not in ("", "0")


def _exit_quickly() -> None:
    """Exit without the interpreter's teardown, which takes a tenth of the time of a short command.

    Does nothing if other threads run, or if PyTorch or multiprocessing is loaded, since these need the regular
    teardown.
    """
    if threading.active_count() > 1 or {"torch", "multiprocessing"} & set(sys.modules):
        return
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            # The pipe is closed; the interpreter reports it on regular exit.
            return
    os._exit(0)


def main() -> None:
    """Run the command line. A UserError is printed without a traceback; the exit status is then 2.

    ALLOPHONE_TRACEBACK=1 shows the traceback. With ALLOPHONE_STRICT_PLUGINS, the traceback of a broken plugin
    is shown.
    """
    # Imports allocate many objects that are never freed. With the default threshold of 700, garbage
    # collection takes a tenth of the startup time.
    gc.set_threshold(50_000)
    try:
        allophone(prog_name="allophone")
    except SystemExit as end:
        ignore_stops()  # The command has done its work; only the interpreter is left to end.
        if end.code in (0, None):
            _exit_quickly()
        raise
    except UserError as error:
        if traceback_wanted():
            raise
        if isinstance(error, PluginError) and error.__cause__ and strict_plugins():
            traceback.print_exception(error.__cause__)
        _fail(error)
    except ModuleNotFoundError as error:
        # Some features of the core need packages that only its extras install.
        extra = extra_providing(error.name or "", importlib.metadata.distribution(CORE))
        if extra is None or traceback_wanted():
            raise
        _fail(
            UserError(
                f"This command needs the package '{error.name}', which is not installed.",
                hint=f"pip install '{extra}'",
            )
        )
    except Exception as error:
        refused = told(error)
        if refused is None or traceback_wanted():
            raise
        _fail(refused)


def _fail(error: UserError) -> NoReturn:
    """Print an error with its hint, and exit with status 2."""
    click.secho("Error: ", fg="red", bold=True, err=True, nl=False)
    click.echo(error.message, err=True)
    if error.hint:
        click.echo(error.hint, err=True)
    sys.exit(2)
