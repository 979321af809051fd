"""The time and the memory from the start of training processes to their first batch, for large corpora.

    python benchmarks/scale.py make /tmp/million --utterances 1000000
    python benchmarks/scale.py measure /tmp/million --ranks 2

`make` writes a manifest and a feature store as `allophone extract` would, with recordings of a few samples
and texts of random letters: what is measured does not depend on what the arrays hold. `measure` starts the
ranks together. Each opens the corpus, builds the vocabulary, makes the loader of VITS's trainer, which
asks a plugin about every utterance, and loads a batch. Index files are written by the first run: give
`--rebuild` to delete them before.
"""

# ruff: noqa: T201 - a command that prints

from __future__ import annotations

import functools
import hashlib
import json
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import click
import numpy as np
from attrs import evolve

from allophone.audio.files import write_audio
from allophone.config import Experiment, structure
from allophone.data.columns import Columns, ColumnWriter
from allophone.data.digests import Digests, digest_of
from allophone.data.manifest import Dropped, Utterance, write_manifest
from allophone.data.store import FeatureStore
from allophone.datasets import corpus_index
from allophone.datasets.feature_index import SECONDS, FeatureIndex, prepared_utterances
from allophone.datasets.loading import open_corpus
from allophone.files.atomic import atomic_write
from allophone.preparation.extract import extract as extract_features
from allophone.registry import default_registry

PACK = 128
BLOCK = 100 * PACK
FIELDS = ("id", "audio", "text", "speaker", "language", "corpus", "split")
FEATURES = ("waveform", "phonemes")


def experiment_of(folder: Path, workers: int = 0) -> Experiment:
    """The experiment whose corpus is written to a folder."""
    return structure(
        Experiment,
        {
            "data": {
                "directory": str(folder),
                "batching": {"max_seconds": 320, "max_utterances": 32, "workers": workers},
            },
            "text": {"phonemizer": {"type": "graphemes"}, "normalize": False},
            "audio": {"sample_rate": 22050},
            "features": {"waveform": {}, "phonemes": {}},
        },
    )


def utterance(number: int, draw: random.Random) -> Utterance:
    """An utterance of a thousand speakers, with 30 to 61 symbols; one in a thousand is for validation."""
    return Utterance(
        id=f"speaker-{number % 1000:03d}_chapter-{number // 1000:05d}",
        audio=f"/recordings/{number % 1000:03d}/{number // 1000:05d}.flac",
        text=f"{draw.getrandbits(240):060x}"[: 30 + draw.getrandbits(5)],
        speaker=f"speaker-{number % 1000:03d}",
        language="en-us",
        corpus="table",
        split="valid" if number % 1000 == 0 else "train",
    )


_registry = functools.cache(default_registry)


class Pack:
    """A pack of a feature store, written without waiting for the disk: what `FeatureStore.commit` would write."""

    def __init__(self, store: FeatureStore) -> None:
        self._folder = store.folder
        self._content = bytearray()
        self._arrays: dict[str, Any] = {}

    def add(self, key: str, dtype: str, shape: list[int], content: bytes) -> None:
        self._arrays[key] = [len(self._content), dtype, shape]
        self._content += content + bytes(-len(content) % 64)

    def write(self) -> None:
        index = json.dumps({"arrays": self._arrays, "dropped": {}}).encode()
        name = hashlib.blake2b(self._content + index, digest_size=16).hexdigest()
        for ending, content in (("bin", self._content), ("json", index)):
            with open(f"{self._folder}/{name}.{ending}", "wb") as file:
                file.write(content)


def write_block(given: tuple[Path, int, int]) -> bytes:
    """Store the features of a block of utterances; returns their lines of the manifest."""
    folder, first, last = given
    index = FeatureIndex(experiment_of(folder), _registry())
    states: dict[str, tuple[int, int, str]] = {}
    lines = []
    for name in index.extractors:
        index.store(name).folder.mkdir(parents=True, exist_ok=True)
    for start in range(first, last, PACK):
        packs = {name: Pack(index.store(name)) for name in index.extractors}
        # Empty, so that the digests of the other blocks are not read.
        index.digests = Digests(folder / "none")
        for number in range(start, min(start + PACK, last)):
            draw = random.Random(number)
            one = utterance(number, draw)
            plain = {field: getattr(one, field) for field in FIELDS}
            lines.append(json.dumps(plain))
            state = (1000, number, digest_of(number))
            states[one.audio] = state
            index.digests.update({one.audio: state})
            recording, text = index.key(SECONDS, one), index.key("phonemes", one)
            packs[SECONDS].add(recording, "<f8", [], struct.pack("<d", draw.uniform(1, 10)))
            samples = 8 + draw.getrandbits(3)
            packs["waveform"].add(recording, "pcm16", [samples], b"\0\x40" * samples)
            packs["phonemes"].add(text, "<U1", [len(one.text)], one.text.encode("utf-32-le"))
        for pack in packs.values():
            pack.write()
    with (folder / "digests" / f"{first:09d}.json").open("w") as file:
        file.write(json.dumps(states))
    return "".join(f"{line}\n" for line in lines).encode()


@click.group
def main() -> None:
    """See the module's docstring."""


@main.command
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--utterances", default=1_000_000, show_default=True)
@click.option("--processes", default=2, show_default=True)
def make(folder: Path, utterances: int, processes: int) -> None:
    """Write a corpus with its features."""
    blocks = [
        (folder, first, min(first + BLOCK, utterances)) for first in range(0, utterances, BLOCK)
    ]
    (folder / "digests").mkdir(parents=True)
    with Pool(processes) as pool, atomic_write(folder / "manifest.jsonl") as file:
        for number, lines in enumerate(pool.imap(write_block, blocks)):
            file.write(lines)
            print(f"\r{number + 1} of {len(blocks)} blocks", end="", file=sys.stderr)
    print(file=sys.stderr)


@main.command
@click.argument("small", type=click.Path(path_type=Path))
@click.argument("large", type=click.Path(path_type=Path))
def repeat(small: Path, large: Path) -> None:
    """Write the index of a large corpus by repeating that of a small one, where making it takes too long.

    Both are made by `make`, so that the utterances of the small one are the first of the large one. The index refers
    to their features again and again; all else, such as the manifest and the files of the store, is that of the large one.
    """
    experiment, registry = experiment_of(large), _registry()
    index = FeatureIndex(experiment, registry)
    manifest = prepared_utterances(experiment).manifest
    key = digest_of(corpus_index._conditions(experiment, index, manifest, registry))
    read = Columns(small / "index" / f"{key}.columns")
    times, rest = divmod(len(manifest), len(read["seconds"]))
    assert not rest, "The large corpus is no multiple of the small one."
    with ColumnWriter(large / "index") as out:
        for name in read:
            values = read[name]
            if name.endswith(".bounds"):
                out.append(name, values[:1])
                for number in range(times):
                    out.append(name, values[1:] + number * values[-1])
            else:
                for _ in range(1 if name.endswith(".packs") else times):
                    out.append(name, values)
        for name, described in read.header["features"].items():
            folders = [place / "features" / described["folder"] for place in (small, large)]
            # The last pack of the small corpus is a part of one of the large one.
            for pack in read[f"{name}.packs"].tolist():
                file = f"{pack.decode()}.bin"
                if not (folders[1] / file).exists():
                    shutil.copy(folders[0] / file, folders[1] / file)
        sources = corpus_index._sources(manifest, index, known={})
        out.save(large / "index" / f"{key}.columns", {**read.header, "sources": sources})


@main.command(hidden=True)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--rank", type=int)
@click.option("--ranks", type=int)
@click.option("--workers", type=int)
@click.option("--start", type=float)
def rank(folder: Path, rank: int, ranks: int, workers: int, start: float) -> None:
    """One training process: print times, then wait for a line and print memory."""
    times: dict[str, tuple[float, float]] = {}

    def note(what: str) -> None:
        times[what] = time.time() - start, time.process_time()

    note("imports")
    corpus = open_corpus(experiment_of(folder, workers))
    note("corpus")
    vocabulary = corpus.build_vocabulary()
    note("vocabulary")
    audio = corpus.experiment.audio

    def reject(lengths: Mapping[str, int]) -> Dropped | None:
        if audio.frames(lengths["waveform"]) < 0:
            return Dropped(reason="more tokens than frames", detail="")
        return None

    loader = corpus.loader(
        "train",
        features=FEATURES,
        vocabulary=vocabulary,
        reject=reject,
        rank=rank,
        world_size=ranks,
        weighted=True,
    )
    note("loader")
    batches = iter(loader)
    next(batches)
    note("first batch")
    print(json.dumps(times), flush=True)
    sys.stdin.readline()
    for _ in range(200):
        next(batches)
    print("read", flush=True)
    sys.stdin.readline()


@main.command
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--ranks", default=2, show_default=True)
@click.option("--workers", default=2, show_default=True, help="Data workers of each rank.")
@click.option("--rebuild", is_flag=True, help="Delete the index first.")
def measure(folder: Path, ranks: int, workers: int, rebuild: bool) -> None:
    """Start ranks at once, and print what each takes."""
    if rebuild:
        shutil.rmtree(folder / "index", ignore_errors=True)
    start = time.time()
    processes = [
        subprocess.Popen(
            [
                *(sys.executable, __file__, "rank", folder),
                *(f"--rank={number}", f"--ranks={ranks}"),
                *(f"--workers={workers}", f"--start={start}"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(ranks)
    ]
    for number, process in enumerate(processes):
        assert process.stdout
        for name, (seconds, own) in json.loads(process.stdout.readline()).items():
            print(f"rank {number}: {name} after {seconds:.1f} s, of which {own:.1f} s on the CPU")
    for process in processes:
        assert process.stdin
        assert process.stdout
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "read\n"
    total = 0.0
    for number, process in enumerate(processes):
        found = [process.pid, *children(process.pid)]
        for pid in found:
            kind = "rank" if pid == process.pid else "worker of rank"
            memory = memory_of(pid)
            total += memory["pss"]
            shown = ", ".join(f"{name} {value:.2f} GB" for name, value in memory.items())
            print(f"{kind} {number}: {shown}")
    print(f"all processes: pss {total:.2f} GB")
    for process in processes:
        process.communicate("\n")


SENTENCES = (
    "The examination of the rooms took the whole of the morning, and nothing was found in them.",
    "In 1842 the bridge was rebuilt of stone, at a cost of some 14,000 pounds.",
    "She asked whether the boats had come home, but nobody had seen them since the evening before.",
    "It rained.",
)


@main.command
@click.option("--utterances", default=100, show_default=True)
def extract(utterances: int) -> None:
    """Print the CPU time that each feature takes, of harmonic tones of 1 to 11 s at 22,050 Hz and English sentences."""
    experiment = structure(
        Experiment,
        {
            "audio": {"sample_rate": 22050},
            "text": {"phonemizer": {"type": "espeak"}, "language": "en-us"},
            "features": {
                "waveform": {},
                "phonemes": {},
                "f0": {"type": "f0"},
                "energy": {"type": "energy"},
            },
        },
    )
    index = FeatureIndex(experiment, default_registry())
    with tempfile.TemporaryDirectory() as folder:
        given = []
        for number in range(utterances):
            draw = random.Random(number)
            time_axis = np.arange(int(22050 * draw.uniform(1, 11))) / 22050
            pitch = 2 * np.pi * draw.uniform(90, 220) * time_axis
            samples = sum(np.sin(pitch * k) / k for k in range(1, 20)) / 8
            path = Path(folder) / f"{number}.wav"
            write_audio(path, np.asarray(samples, np.float32), 22050)
            text = " ".join(draw.choices(SENTENCES, k=2))
            given.append(Utterance(id=str(number), audio=str(path), text=text))
        for extractor in index.extractors.values():
            list(extractor.extract(given[:1]))
        index.recordings.clear()
        began = time.process_time()
        found = index.extractors[SECONDS].extract(given)
        seconds = sum(float(array) for array in found if not isinstance(array, Dropped))
        took = time.process_time() - began
        print(
            f"{len(given)} utterances, {seconds:.0f} s of audio; reading them: {took:.2f} s of CPU"
        )
        # The recordings are kept from the first feature to the last, as in `allophone extract`.
        for name in experiment.features:
            began = time.process_time()
            list(index.extractors[name].extract(given))
            took = time.process_time() - began
            print(
                f"{name}: {took:.2f} s of CPU, {len(given) / took:,.0f} utterances and "
                f"{seconds / took:,.0f} s of audio a second"
            )
        data = evolve(experiment.data, directory=folder)
        write_manifest(f"{folder}/manifest.jsonl", given)
        began = time.process_time()
        extract_features(evolve(experiment, data=data), default_registry())
        took = time.process_time() - began
        stored = sum(path.stat().st_size for path in Path(folder).glob("features/*/*"))
        print(
            f"all, with digests of the files and writing: {took:.2f} s of CPU, {len(given) / took:,.0f} "
            f"utterances and {seconds / took:,.0f} s of audio a second; {stored / seconds / 1000:.1f} kB for "
            "each second of audio"
        )


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def memory_of(pid: int) -> dict[str, float]:
    """Peak and present memory of a process in GB; of `anonymous`, nothing is in a file."""
    status = Path(f"/proc/{pid}/status").read_text()
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()

    def value(text: str, name: str) -> float:
        return int(text.split(f"\n{name}:")[1].split()[0]) / 1e6

    return {
        "peak rss": value(status, "VmHWM"),
        "rss": value(status, "VmRSS"),
        "pss": value(rollup, "Pss"),
        "anonymous": value(rollup, "Anonymous"),
    }


if __name__ == "__main__":
    main()
