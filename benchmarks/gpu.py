"""Everything that only a GPU can show, checked and measured with one command in 20 minutes.

    make setup
    .venv/bin/python benchmarks/gpu.py --out docs/gpu.md

Runs the tests marked `gpu`, and measures the alignment search, training steps of each family in each precision, compiled
steps, and synthesis (`gpu_parts.py` and `gpu_models.py`). Each part is a process of its own with a time limit, so none can take the
others with it; the page is written anew after each, so what is done is kept if the machine is taken away. `pip install
git+https://github.com/supertone-inc/super-monotonic-align` adds that search to the comparison.

`--dry-run` tries all parts on the CPU at tiny sizes; its figures mean nothing.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import torch
from attrs import field, frozen

from allophone.files.atomic import atomic_write

Row = Mapping[str, str | int | float]

PARTS = Path(__file__).with_name("gpu_parts.py")
BUDGETS = {
    "search": 120,
    "synthesis": 150,
    "training": 300,
    "core-tests": 180,
    "family-tests": 300,
    "compile": 300,
}
"""Seconds that each part may take, in order: what may take longest comes last."""

TITLES = {
    "search": "Alignment search: median of 20 runs, until the path is on the device",
    "synthesis": "Synthesis: median of 20 runs, 5 for VALL-E, until the speech is there",
    "training": "Training steps: median of 10, with 16 utterances of 6 seconds, at the published sizes",
    "core-tests": "Tests of the core and of captured graphs",
    "family-tests": "Tests of the families: learning in fp32, bf16 and fp16; the same speech as on the CPU",
    "compile": "Compiled training steps in bf16",
}

NO_GPU = (
    "There is no CUDA GPU here that PyTorch can use, and everything that this script measures needs one.\n"
    "Run `allophone doctor` to see why. --dry-run tries the script itself on the CPU."
)


@frozen(kw_only=True)
class Outcome:
    """What became of a part; problem: why it did not end well, if so."""

    seconds: float
    rows: Sequence[Row] = field(factory=tuple)
    problem: str | None = None


def run_part(part: str, *, dry: bool, limit: float) -> Outcome:
    """Run a part in a process of its own; rows that it has printed count, whatever becomes of it."""
    started = time.monotonic()
    command = [sys.executable, str(PARTS), part, *(["--dry-run"] if dry else [])]
    problem = None
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        # In a session of its own, so that the limit also ends the processes that it has started.
        process = subprocess.Popen(command, stdout=out, stderr=errors, start_new_session=True)
        try:
            if process.wait(timeout=limit):
                errors.seek(0)
                last = errors.read().strip().splitlines()[-1:]
                problem = f"ended with status {process.returncode}: {' '.join(last)[:300]}"
        except subprocess.TimeoutExpired:
            problem = f"not done within {limit:.0f} seconds"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
                process.wait()
        out.seek(0)
        rows = [json.loads(line) for line in out if line.startswith("{") and line.endswith("\n")]
    return Outcome(seconds=time.monotonic() - started, rows=rows, problem=problem)


def page(outcomes: Mapping[str, Outcome], parts: Sequence[str], *, dry: bool) -> str:
    """The page as Markdown."""
    lines = ["# On a GPU", "", "Command: `python benchmarks/gpu.py`.", "", *machine(), ""]
    if dry:
        lines += ["A dry run on the CPU at tiny sizes: the figures mean nothing.", ""]
    for part in parts:
        lines += [f"## {TITLES[part]}", ""]
        outcome = outcomes.get(part)
        if outcome is None:
            lines += ["Not run.", ""]
            continue
        lines += [*table(outcome.rows), f"Took {outcome.seconds:.0f} seconds.", ""]
        if outcome.problem:
            lines += [f"**This part failed**: {outcome.problem}.", ""]
    return "\n".join(lines)


def machine() -> list[str]:
    """What it was measured on."""
    versions = (
        f"torch {torch.__version__}, CUDA {torch.version.cuda}, Python {platform.python_version()}"
    )
    if not torch.cuda.is_available():
        return [f"No GPU; {versions}."]
    cards = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
    named = ", ".join(f"{card.name} ({card.total_memory / 1e9:.0f} GB)" for card in cards)
    return [
        f"{named}; driver {driver()}; {versions}, {os.cpu_count()} CPU cores. fp32 convolutions use TensorFloat-32, as "
        "PyTorch does by default."
    ]


def driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return said.split("\n")[0].strip()


def table(rows: Sequence[Row]) -> list[str]:
    """Rows as a Markdown table, with a column for each name."""
    if not rows:
        return []
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[str(row.get(name, "")).replace("|", "\\|") for name in columns] for row in rows]
    lines = [columns, ["---"] * len(columns), *cells]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("gpu.md"), show_default=True)
@click.option(
    "--minutes", default=20.0, show_default=True, help="The limit for all parts together."
)
@click.option(
    "--only", "parts", multiple=True, type=click.Choice(list(BUDGETS)), help="Parts to run."
)
@click.option("--dry-run", is_flag=True, help="On the CPU, at tiny sizes.")
def main(out: Path, minutes: float, parts: tuple[str, ...], dry_run: bool) -> None:
    """Check and measure on a GPU; exits with 2 where there is none, and with 1 if a part or a row failed."""
    if not dry_run and not torch.cuda.is_available():
        click.echo(NO_GPU, err=True)
        sys.exit(2)
    parts = parts or tuple(BUDGETS)
    outcomes: dict[str, Outcome] = {}
    end = time.monotonic() + 60 * minutes

    def save() -> None:
        with atomic_write(out) as file:
            file.write(page(outcomes, parts, dry=dry_run).encode())

    save()
    for part in parts:
        limit = min(BUDGETS[part], end - time.monotonic())
        if limit <= 0:
            break
        click.echo(f"{part}: at most {limit:.0f} seconds")
        outcomes[part] = run_part(part, dry=dry_run, limit=limit)
        save()
    click.echo(f"written to {out}")
    wrong = [
        part
        for part in parts
        if part not in outcomes
        or outcomes[part].problem
        or any("failed" in row for row in outcomes[part].rows)
    ]
    if wrong:
        click.echo(f"with failures: {', '.join(wrong)}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
