"""The parts of `benchmarks/gpu.py`, each in a process of its own: `python gpu_parts.py PART [--dry-run]`.

Prints one JSON object a line for each row of the part's table, as soon as it is known. A row that fails says so and the
next one follows. With --dry-run everything runs on the CPU, at tiny sizes.

B batch, F frames, T text.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import click
import torch
from gpu_models import Row, Scale, attempt, compiled, synthesis, training
from torch import Tensor

from allophone.alignment import monotonic_alignment

PEER = "super_monotonic_align"


def search(scale: Scale) -> Iterator[Row]:
    """Milliseconds of a search, from scores on the device to the path there. All paths are compared first."""
    sizes = ((2, 30, 10),) if scale.dry else ((16, 500, 100), (32, 1000, 200), (64, 1600, 400))
    for batch, frames, tokens in sizes:
        values = torch.randn(batch, frames, tokens, device=scale.device)
        lengths = (
            torch.full((batch,), frames, device=scale.device),
            torch.full((batch,), tokens, device=scale.device),
        )
        expected = monotonic_alignment(values.cpu(), *(one.cpu() for one in lengths))
        for name, call in searches(values, *lengths).items():
            row: Row = {"B, F, T": f"{batch}, {frames}, {tokens}", "search": name}

            yield attempt(row, partial(timed_search, scale, call, expected.index))
    if not importlib.util.find_spec(PEER):
        yield {"search": PEER.replace("_", "-"), "left out": "not installed"}


def timed_search(scale: Scale, call: Callable[[], Tensor], expected: Tensor) -> Row:
    if not torch.equal(call().cpu(), expected):
        raise ValueError("finds another path")
    return {"ms": round(scale.milliseconds(call), 3)}


def searches(
    values: Tensor, frame_lengths: Tensor, token_lengths: Tensor
) -> dict[str, Callable[[], Tensor]]:
    """By name, calls that give the path [B, F]."""

    def there() -> Tensor:
        return monotonic_alignment(values, frame_lengths, token_lengths).index

    def here() -> Tensor:
        found = monotonic_alignment(values.cpu(), frame_lengths.cpu(), token_lengths.cpu())
        return found.index.to(values.device)

    found = {"allophone, on the device": there, "allophone, in C, with copies": here}
    if importlib.util.find_spec(PEER):
        peer = importlib.import_module(PEER)
        mask = torch.ones_like(values.mT)
        # It overwrites its input, so that only the first call has these scores.
        scores = [values.mT.contiguous()]

        def theirs() -> Tensor:
            path: Tensor = peer.maximum_path(scores[0], mask)
            return path.argmax(1)

        found[PEER.replace("_", "-")] = theirs
    return found


def core_tests(scale: Scale) -> Iterator[Row]:
    """The tests marked `gpu` of the core, and those of captured graphs."""
    yield from tests(
        scale,
        "core/tests",
        "plugins/diffwave/tests/test_looping.py",
        "plugins/valle/tests/test_decoding.py",
    )


def family_tests(scale: Scale) -> Iterator[Row]:
    """The contracts on a GPU, of every model family: training in each precision, and the same speech as on the CPU."""
    for family in ("vits", "vits2", "fastspeech2", "hifigan", "diffwave", "valle"):
        yield from tests(scale, f"plugins/{family}/tests/test_contract.py")


def tests(scale: Scale, *paths: str) -> Iterator[Row]:
    """Run tests with the marker `gpu`; with --dry-run they are only collected."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-m",
            "gpu",
            f"--junitxml={report}",
            *paths,
        ]
        started = time.perf_counter()
        run = subprocess.run(
            [*command, "--collect-only"] if scale.dry else command,
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        row: Row = {"tests": ", ".join(paths), "seconds": round(time.perf_counter() - started)}
        if scale.dry or not report.exists():
            said = (run.stdout or run.stderr).strip().splitlines()
            yield row | {"outcome" if run.returncode == 0 else "failed": said[-1] if said else "?"}
            return
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
        broken = [
            one for one in cases for kind in ("failure", "error") if one.find(kind) is not None
        ]
        skipped = sum(case.find("skipped") is not None for case in cases)
        passed = len(cases) - len(broken) - skipped
        yield row | {"outcome": f"{passed} passed, {len(broken)} failed, {skipped} skipped"}
        for case in broken:
            message = [part.get("message", "") for part in case if part.tag in ("failure", "error")]
            yield {
                "tests": f"{case.get('classname')}::{case.get('name')}",
                "seconds": round(float(case.get("time", 0))),
                "failed": message[0].partition("\n")[0][:300],
            }


PARTS: dict[str, Callable[[Scale], Iterator[Row]]] = {
    "search": search,
    "synthesis": synthesis,
    "training": training,
    "core-tests": core_tests,
    "family-tests": family_tests,
    "compile": compiled,
}


@click.command()
@click.argument("part", type=click.Choice(list(PARTS)))
@click.option("--dry-run", is_flag=True, help="On the CPU, at tiny sizes.")
def main(part: str, dry_run: bool) -> None:
    torch.manual_seed(0)
    for row in PARTS[part](Scale(dry=dry_run)):
        click.echo(json.dumps(row))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
