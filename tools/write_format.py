"""Write the fixtures of a format version, with which later versions are tested: tests/data/format-<n>.

    python tools/write_format.py tests/data/format-1

The folder holds an `experiment.toml`; beside it come the run that it describes, on a corpus of synthetic
recordings, a voice folder made of that run, and what the voice says. Once a version is released, what it
wrote is never written again.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import allophone
from allophone.cli import allophone as command_line
from allophone_testing.corpus import write_corpus

TEXT = "Children under silver clouds."
SEED = 3


@contextlib.contextmanager
def corpus_for(experiment: Path) -> Iterator[Path]:
    """A temporary working folder with the experiment's prepared and extracted corpus."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        write_corpus(Path("recordings"), utterances=12, speakers=2, sample_rate=8000)
        for step in ("prepare", "extract"):
            run(step, experiment)
        yield Path(folder)


def run(*words: str | Path) -> None:
    """Run a command in this process."""
    command_line([str(word) for word in words], standalone_mode=False)


def main() -> None:
    """Write the run, the voice and its samples, replacing existing ones."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    experiment = folder / "experiment.toml"
    for old in ("run", "voice"):
        shutil.rmtree(folder / old, ignore_errors=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    with corpus_for(experiment):
        run("train", experiment, "--run", "run")
        run("import", "run", "voice")
        shutil.rmtree(Path("run") / "tensorboard")
        for new in ("run", "voice"):
            shutil.copytree(new, folder / new)
    voice = allophone.load(folder / "voice")
    said = {name: voice.say(TEXT, speaker=name, seed=SEED).samples for name in voice.speakers}
    loudest = max(np.abs(samples).max() for samples in said.values())
    assert 0.01 < loudest < 1, f"the samples have a peak of {loudest}, expected 0.01 to 1"
    arrays: dict[str, Any] = {
        name: np.round(samples * 32767).astype(np.int16) for name, samples in said.items()
    }
    np.savez_compressed(folder / "said.npz", **arrays)


if __name__ == "__main__":
    main()
