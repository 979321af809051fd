"""Start-up time of the command line, and time to first audio compared with piper-tts.

Run `python benchmarks/startup.py`. Wall time of whole processes, interleaved, medians; the heavy packages that `--help`
and `plugins` import (there must be none); and, in two clean environments (see `light_environments`), the cold start
of the command until a short WAV file is written, and the time to the first samples of a ten-second sentence in a
process that has already loaded the voice.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from light_environments import MODEL, Environment, make_environments

HEAVY = ("torch", "numpy", "librosa", "cattrs", "scipy", "torchaudio", "numba", "phonemizer")
LAUNCH = (
    "import sys; sys.argv = ['allophone', {argument!r}]; from allophone.cli import main; main()"
)
CASES = {
    "python -c pass": "pass",
    'python -c "import click"': "import click",
    "allophone --help": LAUNCH.format(argument="--help"),
    "allophone plugins": LAUNCH.format(argument="plugins"),
}


def measure(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    return time.perf_counter() - started


def imported(code: str) -> list[str]:
    """The heavy packages that the code has imported when it ends."""
    watched = (
        "import atexit, json, sys\n"
        f"heavy = {HEAVY!r}\n"
        "tell = lambda: print(json.dumps([n for n in heavy if n in sys.modules]), file=sys.stderr)\n"
        f"atexit.register(tell)\n{code}"
    )
    run = subprocess.run(
        [sys.executable, "-c", watched], capture_output=True, text=True, check=False
    )
    found: list[str] = json.loads(run.stderr.strip().splitlines()[-1])
    return found


SHORT = "Hello there."
LONG = (
    "The quick brown fox jumps over the lazy dog, and nobody minds that the wind is rising over the hills "
    "tonight, as the old men by the fire used to say when the nights were long and the stories longer still."
)

PAUSE = 0.2
"""Seconds before each sentence."""

FIRST_AUDIO = {
    "piper-tts": """
from piper import PiperVoice
voice = PiperVoice.load({model!r})
first = lambda text: next(iter(voice.synthesize(text)))
""",
    "allophone": """
import allophone
voice = allophone.load("joe")
first = lambda text: next(voice.stream(text))
""",
}
"""Code that loads the voice, and returns the first samples of a text."""

TIMED = """
import sys, time
first("Warm up.")
for line in sys.stdin:
    started = time.perf_counter()
    first({text!r})
    print(time.perf_counter() - started, flush=True)
"""


def cold_start(environment: Environment, folder: Path) -> float:
    """Seconds of the whole command, writing a short WAV file."""
    started = time.perf_counter()
    command = environment.command(SHORT, folder / "short.wav")
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - started


def speaking(environments: tuple[Environment, ...], rounds: int, folder: Path) -> None:
    """Cold start and first audio of both, interleaved."""
    starts: dict[str, list[float]] = {one.name: [] for one in environments}
    firsts: dict[str, list[float]] = {one.name: [] for one in environments}
    servers = {
        one.name: subprocess.Popen(
            [
                str(one.python),
                "-c",
                FIRST_AUDIO[one.name].format(model=str(one.packages / MODEL))
                + TIMED.format(text=LONG),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for one in environments
    }
    for one in environments:
        cold_start(one, folder)
    for _ in range(rounds):
        for one in environments:
            starts[one.name].append(cold_start(one, folder))
    for _ in range(rounds):
        for one in environments:
            server = servers[one.name]
            assert server.stdin is not None
            assert server.stdout is not None
            # onnxruntime's threads keep spinning after a run, which would slow down the other contender.
            time.sleep(PAUSE)
            server.stdin.write("\n")
            server.stdin.flush()
            firsts[one.name].append(float(server.stdout.readline()))
    for server in servers.values():
        server.kill()
    for what, times in (("cold start", starts), ("first audio of 10 s", firsts)):
        piper, ours = (statistics.median(times[one.name]) for one in environments)
        click.echo(
            f"{what:20} piper-tts {1000 * piper:6.0f} ms   allophone {1000 * ours:6.0f} ms   "
            f"ratio {ours / piper:.2f}"
        )


@click.command()
@click.option("--rounds", default=15, show_default=True)
def main(rounds: int) -> None:
    # If it were set, every process measured here would compile our modules again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for code in CASES.values():
        measure(code)
    for _ in range(rounds):
        for name, code in CASES.items():
            times[name].append(measure(code))
    bare = statistics.median(times["python -c pass"])
    for name, code in CASES.items():
        median = statistics.median(times[name])
        heavy = ", ".join(imported(code)) or "none"
        click.echo(
            f"{name:28} {1000 * median:6.0f} ms  {median / bare:4.1f} x bare   heavy imports: {heavy}"
        )
    with tempfile.TemporaryDirectory() as place:
        environments = make_environments(Path(place) / "environments")
        speaking(environments, rounds, Path(place))


if __name__ == "__main__":
    main()
