"""Load on speech servers: Allophone's, piper's HTTP server and wyoming-piper, with the same voice.

    python benchmarks/serving.py --clients 1 8 64 --seconds 60

Each client asks for one text after another on a connection of its own. "First audio" is the time from the request to the
first sample that its client can play. "Processor" is the server's processor time per request, which other programs affect
little.
"""

# ruff: noqa: T201 - a command that prints

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
from attrs import Factory, define, frozen
from wyoming.audio import AudioChunk, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.tts import Synthesize

from allophone_voice_joe.files import locate

TEXTS = (
    "Good morning.",
    "The quick brown fox jumps over the lazy dog, and nobody minds.",
    "The kitchen light is on. Shall I turn it off?",
    "It will rain in the afternoon, and the wind will turn to the west before the evening.",
)

_HEADER = 44
"""Bytes of a WAV before its samples."""

Ask = Callable[[int, str], Awaitable[float]]
"""Asks a server at a port for a text, and returns when the first audio arrived (time.perf_counter)."""


async def ask_allophone(port: int, text: str) -> float:
    """By OpenAI's API, as WAV."""
    body = {"model": "tts-1", "input": text, "response_format": "wav"}
    return await _post(port, "/v1/audio/speech", body)


async def ask_piper(port: int, text: str) -> float:
    return await _post(port, "/synthesize", {"text": text})


async def ask_wyoming(port: int, text: str) -> float:
    first = 0.0
    async with AsyncTcpClient("127.0.0.1", port) as client:
        await client.write_event(Synthesize(text=text).event())
        while (event := await client.read_event()) is not None:
            if AudioStop.is_type(event.type):
                return first
            if AudioChunk.is_type(event.type):
                first = first or time.perf_counter()
    raise ConnectionError("the audio broke off")


async def _post(port: int, path: str, body: dict[str, str]) -> float:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        content = json.dumps(body).encode()
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode()
            + content
        )
        head = await reader.readuntil(b"\r\n\r\n")
        status = head.split(maxsplit=2)[1].decode()
        if status != "200":
            raise ConnectionError(f"status {status}")
        await reader.readexactly(_HEADER + 2)
        first = time.perf_counter()
        while await reader.read(1 << 16):
            pass
        return first
    finally:
        writer.close()


@frozen(kw_only=True)
class Server:
    """A server to measure; `words` gets the port."""

    name: str
    words: Callable[[int], list[str]]
    ask: Ask


def servers(folder: Path) -> Iterator[Server]:
    """All servers; `folder` gets the voice as piper wants it."""
    model = Path(locate())
    for suffix in ("", ".json"):
        (folder / f"joe.onnx{suffix}").symlink_to(f"{model}{suffix}")
    allophone = [str(Path(sys.executable).with_name("allophone")), "serve", "--voice", str(model)]
    python = [sys.executable, "-m"]
    yield Server(
        name="allophone, HTTP",
        words=lambda port: [*allophone, "--port", str(port), "--places", "128"],
        ask=ask_allophone,
    )
    yield Server(
        name="allophone, Wyoming",
        words=lambda port: [*allophone, "--port", "0", "--wyoming", str(port), "--places", "128"],
        ask=ask_wyoming,
    )
    yield Server(
        name="piper, HTTP",
        words=lambda port: [
            *(*python, "piper.http_server", "--host", "127.0.0.1", "--port", str(port)),
            *("--model", str(folder / "joe.onnx"), "--data-dir", str(folder)),
        ],
        ask=ask_piper,
    )
    yield Server(
        name="wyoming-piper",
        words=lambda port: [
            *(*python, "wyoming_piper", "--uri", f"tcp://127.0.0.1:{port}"),
            *("--voice", "joe", "--data-dir", str(folder)),
        ],
        ask=ask_wyoming,
    )


@define
class Load:
    """What was measured: seconds to the first audio, and errors by their text."""

    first: list[float] = Factory(list)
    errors: Counter[str] = Factory(Counter)


async def load(server: Server, port: int, *, clients: int, seconds: float) -> Load:
    """Let clients ask for texts until `seconds` are over; what has begun then is waited for."""
    found = Load()
    end = time.perf_counter() + seconds

    async def client(number: int) -> None:
        while time.perf_counter() < end:
            begin = time.perf_counter()
            try:
                first = await server.ask(port, TEXTS[number % len(TEXTS)])
                found.first.append(first - begin)
            except (OSError, EOFError) as error:
                found.errors[f"{type(error).__name__}: {error}"] += 1
            number += 1

    await asyncio.gather(*map(client, range(clients)))
    return found


@contextlib.asynccontextmanager
async def started(server: Server) -> AsyncIterator[tuple[int, int]]:
    """A running server: its port and its process id."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        server.words(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            with contextlib.suppress(OSError, EOFError):
                await server.ask(port, TEXTS[0])
                break
            await asyncio.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def resident(pid: int) -> float:
    """Resident memory in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def processor_seconds(pid: int) -> float:
    """The processor time of a process so far, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def main(clients: list[int], seconds: float, only: str) -> None:
    """Print a row for each server and number of clients."""
    print(
        "| server | clients | requests/s | first audio p50 (s) | p95 (s) | processor (ms) | MiB before, after | errors |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for server in servers(Path(folder)):
            if only not in server.name:
                continue
            async with started(server) as (port, pid):
                for count in clients:
                    before, begin = resident(pid), time.perf_counter()
                    busy = processor_seconds(pid)
                    found = await load(server, port, clients=count, seconds=seconds)
                    rate = len(found.first) / (time.perf_counter() - begin)
                    busy = 1000 * (processor_seconds(pid) - busy) / max(1, len(found.first))
                    p50, p95 = np.percentile(found.first or [np.nan], (50, 95))
                    memory = f"{before:.0f}, {resident(pid):.0f}"
                    errors = ", ".join(f"{n} {text}" for text, n in found.errors.items()) or "none"
                    print(
                        f"| {server.name} | {count} | {rate:.2f} | {p50:.3f} | {p95:.3f} | {busy:.0f} | {memory} | {errors} |",
                        flush=True,
                    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--only", default="", help="Only servers whose name contains this.")
    given = parser.parse_args()
    asyncio.run(main(given.clients, given.seconds, given.only))
