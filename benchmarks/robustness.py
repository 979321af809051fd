"""Kills commands at random moments, and checks that nothing is lost and the results are the same to the last bit.

Run `python benchmarks/robustness.py`. Each command first runs undisturbed. Then it is killed (SIGKILL) several times in a
row and started again as a user would, until it is left to end. After each kill, what it had finished must still be there
and be right, and none of its processes may run on; in the end, everything must equal the undisturbed result.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import torch
from attrs import define, frozen

from allophone.data.manifest import MANIFEST
from allophone.data.store import FeatureStore, StoredArray
from allophone.files.run_folder import METRICS, STATE, checkpoints, is_run
from allophone.weights.files import read_weights
from allophone_testing.corpus import write_corpus

STEPS = 10
KILLS_IN_A_ROW = 5
_ENDS_WITHIN = 30.0
"""Seconds in which all processes of a killed command must have ended."""

Finished = Mapping[str, str]
"""What a command has finished: digests by name."""


@frozen(kw_only=True)
class Job:
    """A command that can be killed.

    command: its arguments, given what it writes to and whether it has begun before.
    finished: what it has finished there so far. results: what else must be equal in the end.
    count: how many results there are, found quickly. once: whether it refuses a place where its result is.
    """

    name: str
    command: Callable[[Path, bool], Sequence[str]]
    finished: Callable[[Path], Finished]
    results: Callable[[Path], Finished] = lambda _: {}
    count: Callable[[Path], int] = lambda out: len(files_of(out))
    once: bool = False


@define(kw_only=True)
class Tally:
    """What the kills of one command did.

    early: kills before anything was written. lost, wrong: finished items that were gone, or differ.
    left_running: kills after which a process ran on. differing: results that differ in the end.
    """

    kills: int = 0
    early: int = 0
    lost: int = 0
    wrong: int = 0
    left_running: int = 0
    ends: int = 0
    differing: int = 0

    @property
    def clean(self) -> bool:
        return not (self.lost or self.wrong or self.left_running or self.differing)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files_of(folder: Path, *, but: Sequence[str] = ()) -> Finished:
    """The files in a folder that are not temporary ones, locks or logs."""
    return {
        str(path.relative_to(folder)): digest(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.name not in but
    }


def features_of(data: Path) -> Finished:
    """The stored features by key; which pack they are in depends on what was computed together."""
    found = {}
    for folder in sorted({path.parent for path in data.rglob("key.json")}):
        store = FeatureStore(folder, {})
        indexes = [json.loads((folder / f"{name}.json").read_text()) for name in store.pack_names()]
        for key in {key for index in indexes for part in index.values() for key in part}:
            stored = store.find(key)
            if isinstance(stored, StoredArray):
                value = stored.read()
                found[f"{folder.name}/{key}"] = f"{value.dtype}{value.shape}" + digest(
                    value.tobytes()
                )
            else:
                found[f"{folder.name}/{key}"] = str(stored)
    return found


def checkpoints_of(run: Path) -> Finished:
    """The weights and training states of a run's checkpoints."""
    found = {}
    for checkpoint in checkpoints(run) if is_run(run) else ():
        state = torch.load(checkpoint.path / STATE, weights_only=True)
        weights = {path.name: read_weights(path) for path in checkpoint.path.glob("*.safetensors")}
        found[checkpoint.path.name] = digest(_plain([state, weights]).encode())
    return found


def _plain(value: Any) -> str:
    """A text that is equal for equal nested values only."""
    if isinstance(value, torch.Tensor):
        return f"{value.dtype}{list(value.shape)}{digest(value.contiguous().numpy().tobytes())}"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key!r}:{_plain(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_plain, value))}]"
    return repr(value)


def metrics_of(run: Path) -> Finished:
    """The metrics of the steps, without times."""
    lines = map(json.loads, (run / METRICS).read_text("utf-8").splitlines())
    return {
        f"{line['event']} {line['step']}": json.dumps(line["metrics"])
        for line in lines
        if line["event"] in ("step", "validation")
    }


def rows_of(out: Path) -> Finished:
    """The rows of a log of files."""
    lines = (out / "made.jsonl").read_text("utf-8").splitlines()
    return {f"row {json.loads(line)['id']}": line for line in lines}


def jobs(place: Path) -> list[Job]:
    """The commands, on a small corpus in `place`."""
    settings = [f"data.corpora.0.root={place / 'corpus'}", "data.splits.valid=4"]

    def recipe(data: Path, *more: str) -> list[str]:
        values = (*settings, f"data.directory={data}", *more)
        return ["hifigan/tiny", *(each for value in values for each in ("--set", value))]

    def train(processes: int) -> Callable[[Path, bool], Sequence[str]]:
        more = (
            f"runtime.max_steps={STEPS}",
            "runtime.checkpoint_every=2",
            "runtime.validate_every=4",
            "runtime.log_every=1",
            "runtime.samples=0",
            "runtime.keep.last=100",
            "runtime.keep.best_metric=none",
            "trainer.segment_size=2048",
            "data.batching.max_utterances=4",
            "data.batching.workers=1",
        )

        def command(run: Path, begun: bool) -> Sequence[str]:
            ranks = ["--devices", "cpu", "--processes", str(processes)]
            if begun and checkpoints_of(run):
                return ["train", "--run", str(run), "--resume", "latest", *ranks]
            # What was begun and has no checkpoint is no run yet.
            shutil.rmtree(run, ignore_errors=True)
            return ["train", *recipe(place / "data", *more), "--run", str(run), *ranks]

        return command

    def extract(data: Path, _: bool) -> Sequence[str]:
        data.mkdir(exist_ok=True)
        if not (data / MANIFEST).exists():
            shutil.copy(place / "data" / MANIFEST, data)
        return ["extract", *recipe(data), "--workers", "2"]

    return [
        Job(
            name="prepare",
            command=lambda out, _: ["prepare", *recipe(out)],
            finished=files_of,
        ),
        Job(
            name="extract, 2 workers",
            command=extract,
            finished=features_of,
            results=lambda data: {
                name: value for name, value in files_of(data).items() if name.endswith("jsonl")
            },
        ),
        Job(
            name="train, 1 rank",
            command=train(1),
            finished=checkpoints_of,
            results=metrics_of,
            count=lambda run: len(checkpoints(run)) if is_run(run) else 0,
        ),
        Job(
            name="train, 2 ranks",
            command=train(2),
            finished=checkpoints_of,
            results=metrics_of,
            count=lambda run: len(checkpoints(run)) if is_run(run) else 0,
        ),
        Job(
            name="synthesize",
            command=lambda out, _: (
                ["synthesize", "--voice", "joe", "--list", str(place / "texts"), "--out", str(out)]
            ),
            finished=lambda out: files_of(out, but=["made.jsonl"]),
            results=rows_of,
        ),
        Job(
            name="import",
            command=lambda out, _: ["import", str(place / "run"), str(out)],
            finished=files_of,
            once=True,
        ),
    ]


def set_up(place: Path) -> None:
    """What the commands start from: a corpus, its features, texts, and a run."""
    write_corpus(place / "corpus", utterances=24, sample_rate=16000)
    lines = (place / "corpus" / "metadata.csv").read_text("utf-8").splitlines()
    texts = [f"{number:02}|{line.split('|')[1]}" for number, line in enumerate(lines)]
    (place / "texts").write_text("\n".join(texts) + "\n", "utf-8")
    prepare, extract, train, *_ = jobs(place)
    for job, out in ((prepare, "data"), (extract, "data"), (train, "run")):
        run_to_end(job.command(place / out, False))


def start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "allophone", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def run_to_end(arguments: Sequence[str]) -> None:
    process = start(arguments)
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{said.decode()[-3000:]}")


def processes_naming(out: Path) -> list[int]:
    """The processes in whose command line a path stands, but for this one."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                words = (entry / "cmdline").read_bytes().split(b"\0")
                running = (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
                if os.fsencode(out) in words and running:
                    found.append(int(entry.name))
        except (OSError, ValueError):
            continue
    return found


def kill_at(
    process: subprocess.Popen[bytes], seconds: float, *, since: Callable[[], bool], group: bool
) -> bool:
    """Kill a command some seconds after `since` has become true; False if it has ended well before."""
    assert process.stderr is not None
    while process.poll() is None and not since():
        time.sleep(0.02)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
        return True
    said = process.stderr.read().decode()
    process.stderr.close()
    if process.returncode:
        raise SystemExit(f"{process.args!r} failed:\n{said[-3000:]}")
    return False


def all_end(out: Path) -> bool:
    """Wait until no process of a killed command runs; those that run on are killed."""
    deadline = time.monotonic() + _ENDS_WITHIN
    while left := processes_naming(out):
        if time.monotonic() > deadline:
            for process in left:
                os.kill(process, signal.SIGKILL)
            return False
        time.sleep(0.1)
    return True


def torment(job: Job, place: Path, kills: int, choose: random.Random) -> Tally:
    """Kill a command `kills` times in all."""
    whole = place / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    began = time.monotonic()
    process = start(job.command(whole, False))
    first: float | None = None
    while process.poll() is None:
        if first is None and whole.exists() and job.count(whole):
            first = time.monotonic() - began
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"{job.name} failed:\n{process.communicate()[1].decode()[-3000:]}")
    seconds = time.monotonic() - began
    first = seconds if first is None else first
    expected, results = job.finished(whole), job.results(whole)
    tally = Tally()
    while tally.kills < kills:
        out = place / f"killed-{tally.ends}"
        shutil.rmtree(out, ignore_errors=True)
        before: Finished = {}
        in_a_row = 0
        while in_a_row < KILLS_IN_A_ROW and tally.kills < kills:
            if job.once and out.exists():
                break
            arguments = job.command(out, in_a_row > 0)
            there = job.count(out) if out.exists() else 0
            process = start(arguments)
            # Every other kill waits for a new result first: how long a start takes varies.
            if tally.kills % 4 < 2:
                killed = kill_at(
                    process,
                    choose.uniform(0, seconds - first),
                    since=lambda: out.exists() and job.count(out) > there,  # noqa: B023
                    group=bool(tally.kills % 2),
                )
            else:
                moment = choose.uniform(0, seconds)
                killed = kill_at(process, moment, since=lambda: True, group=bool(tally.kills % 2))
            if not killed:
                break
            in_a_row += 1
            tally.kills += 1
            tally.left_running += not all_end(out)
            now = job.finished(out) if out.exists() else {}
            tally.early += not now
            tally.lost += len(before.keys() - now.keys())
            tally.wrong += sum(expected.get(name) != value for name, value in now.items())
            before = now
        else:
            if not (job.once and out.exists()):
                run_to_end(job.command(out, True))
        tally.ends += 1
        tally.differing += (job.finished(out), job.results(out)) != (expected, results)
        shutil.rmtree(out)
    return tally


@click.command()
@click.option("--kills", default=200, show_default=True, help="In all, shared by the commands.")
@click.option("--seed", default=0, show_default=True)
@click.option("--only", help="Only commands whose name contains this.")
def main(kills: int, seed: int, only: str | None) -> None:
    choose = random.Random(seed)
    rows: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory(prefix="robustness-") as temporary:
        place = Path(temporary)
        set_up(place)
        chosen = [job for job in jobs(place) if not only or only in job.name]
        click.echo(
            "| command | kills | before a result | ended | lost | wrong | left running | differing |"
        )
        click.echo("|---|---|---|---|---|---|---|---|")
        for number, job in enumerate(chosen):
            share = kills // len(chosen) + (number < kills % len(chosen))
            one = rows[job.name] = torment(job, place, share, choose)
            click.echo(
                f"| {job.name} | {one.kills} | {one.early} | {one.ends} | {one.lost} | {one.wrong} | "
                f"{one.left_running} | {one.differing} |"
            )
    if not all(one.clean for one in rows.values()):
        raise SystemExit("Something was lost, wrong, left running, or different.")


if __name__ == "__main__":
    main()
