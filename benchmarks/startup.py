"""How long the command line takes to answer, beside what Python and click take alone.

Run `python benchmarks/startup.py`. Whole processes, interleaved, medians; and which heavy packages each of
them imports (there must be none).
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

import click

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
    """Which of the heavy packages the code has imported when it ends."""
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


@click.command()
@click.option("--rounds", default=15, show_default=True)
def main(rounds: int) -> None:
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


if __name__ == "__main__":
    main()
