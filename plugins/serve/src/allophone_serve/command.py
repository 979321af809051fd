"""`allophone serve`: a speech server."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from allophone.cli.options import engine_options, vocoder_option
from allophone.errors import UserError
from allophone.processes.processors import usable_processors

if TYPE_CHECKING:
    from allophone_serve.service import Service
    from allophone_serve.voices import Voices


@click.command("serve")
@click.option(
    "--voice",
    "places",
    multiple=True,
    metavar="VOICE",
    help="A voice folder, a run, a checkpoint, an installed voice, or an exported voice; may be repeated. "
    "The first is the default.  [default: all installed voices]",
)
@click.option(
    "--alias",
    "aliases",
    multiple=True,
    metavar="NAME=VOICE",
    help="Another name for a voice, such as alloy=anna; may be repeated.",
)
@engine_options
@vocoder_option
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on; 0.0.0.0 for all of this machine.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port of HTTP; 0 for a free one.",
)
@click.option(
    "--wyoming",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Also serve the Wyoming protocol of Home Assistant on this port, usually 10200. It knows no API keys.",
)
@click.option(
    "--page",
    is_flag=True,
    help="Also serve the page of `allophone demo` under /; not together with API keys, which it cannot send.",
)
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="NAME",
    help="With --page: a host name under which the server may be requested; may be repeated.  [default: what --host "
    "says, and localhost; any where that is all of this machine]",
)
@click.option(
    "--places",
    "limit",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="How many requests may wait or be spoken at once; others get 429.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Threads that synthesize.  [default: the number of processors if the engine takes several threads, "
    "as onnx; otherwise 1]",
)
@click.option(
    "--characters",
    type=click.IntRange(min=1),
    default=5000,
    show_default=True,
    help="The maximum number of characters of a text.",
)
@click.option(
    "--first-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds that a request may wait for its first audio.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=600.0,
    show_default=True,
    help="Seconds that a request may take.",
)
@click.option(
    "--cache",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="MB",
    help="Megabytes of finished audio to keep in memory for requests that are made again.",
)
@click.option(
    "--keys",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="API keys, one a line; the variable ALLOPHONE_API_KEY holds another.  [default: none is needed]",
)
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="An origin whose web pages may use the server (CORS), such as https://example.org; may be repeated.",
)
def command(
    places: tuple[str, ...],
    aliases: tuple[str, ...],
    vocoder: str | None,
    engine: str | None,
    device: str,
    host: str,
    port: int,
    wyoming: int | None,
    page: bool,
    allow_hosts: tuple[str, ...],
    limit: int,
    workers: int | None,
    characters: int,
    first_timeout: float,
    timeout: float,
    cache: int,
    keys: Path | None,
    origins: tuple[str, ...],
) -> None:
    """Serve voices to other programs: OpenAI's speech API, and Wyoming for Home Assistant.

    Only this machine can reach the server, unless --host is given. Ctrl-C or SIGTERM ends it, after what has begun.
    """
    from allophone.registry import default_registry
    from allophone_serve.app import build_app
    from allophone_serve.options import Options
    from allophone_serve.server import listen, serve
    from allophone_serve.service import Service
    from allophone_serve.voices import open_voices

    voices = open_voices(
        places,
        aliases=dict(map(_alias, aliases)),
        engine=engine,
        device=device,
        vocoder=vocoder,
        registry=default_registry(),
    )
    options = Options(
        places=limit,
        workers=_workers(workers, voices),
        characters=characters,
        first_timeout=first_timeout,
        timeout=timeout,
        cache=cache * 1_000_000,
        keys=_read_keys(keys),
        origins=origins,
    )
    service = Service(voices, options)
    listening = listen(host, port)
    click.echo(f"Serving {', '.join(voices.by_name)} at http://{_address(listening)}/v1", err=True)
    app = build_app(service, beside=_wyoming(service, host, wyoming))
    if page:
        from allophone_serve.page import mount_page

        mount_page(app, service, default_registry(), host=host, allow_hosts=allow_hosts)
    serve(app, listening, options)


def _workers(asked: int | None, voices: Voices) -> int:
    alone = [
        name
        for name, voice in voices.by_name.items()
        if not getattr(voice.engine, "concurrent", False)
    ]
    if asked is None:
        return 1 if alone else usable_processors()
    if asked > 1 and alone:
        raise UserError(
            f"--workers {asked}: the engine of {', '.join(alone)} takes one thread at a time.",
            hint="Leave out --workers, or use --engine onnx.",
        )
    return asked


def _wyoming(
    service: Service, host: str, port: int | None
) -> Callable[[], AbstractAsyncContextManager[None]]:
    """What serves Wyoming; nothing without a port."""
    if port is None:
        return nullcontext
    from allophone_serve.server import listen

    try:
        from allophone_serve.wyoming_server import wyoming_server
    except ModuleNotFoundError as error:
        raise UserError(
            f"--wyoming needs the package {error.name}, which is not installed.",
            hint="pip install 'allophone-serve[wyoming]'",
        ) from error
    listening = listen(host, port)
    click.echo(f"Wyoming at tcp://{_address(listening)}", err=True)
    return lambda: wyoming_server(service, listening)


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _alias(given: str) -> tuple[str, str]:
    alias, equals, name = given.partition("=")
    if not (alias and equals and name):
        raise UserError(f"invalid --alias value '{given}'", hint="Write it as --alias alloy=anna.")
    return alias, name


def _read_keys(file: Path | None) -> tuple[str, ...]:
    keys = file.read_text("utf-8").split() if file else []
    if file and not keys:
        raise UserError(f"--keys {file}: the file holds no key.")
    if key := os.environ.get("ALLOPHONE_API_KEY", "").strip():
        keys.append(key)
    return tuple(keys)
