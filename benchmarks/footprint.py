"""The installed size for synthesis, compared with piper-tts and the same voice.

Run `python benchmarks/footprint.py`. Both environments are created from scratch; sizes are those of their files, without
bytecode. What the first sentence adds to the user's cache is reported separately.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import click
from light_environments import Environment, make_environments

ABSENT = ("torch", "torchaudio", "numba", "llvmlite", "librosa", "scipy", "sklearn", "phonemizer")


def size(folder: Path) -> int:
    """Bytes of the files below a folder, without bytecode."""
    return sum(
        path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )


def distributions(environment: Environment) -> int:
    return len(list(environment.packages.glob("*.dist-info")))


@click.command()
def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        piper, ours = make_environments(Path(place))
        cache = Path(place) / "cache"
        heavy = [name for name in ABSENT if (ours.packages / name).exists()]
        sizes = {one.name: size(one.packages) for one in (piper, ours)}
        subprocess.run(
            ours.command("Hello there.", Path(place) / "hello.wav"),
            env={**os.environ, "XDG_CACHE_HOME": str(cache)},
            check=True,
        )
        kept = size(cache)
        for one in (piper, ours):
            click.echo(
                f"{one.name:10} {sizes[one.name] / 2**20:6.0f} MiB in {distributions(one):2} packages"
            )
        ratio = sizes[ours.name] / sizes[piper.name]
        click.echo(f"ratio {ratio:.2f}; the cache after one sentence: {kept / 2**20:.1f} MiB")
        click.echo(f"of {', '.join(ABSENT)} there is: {', '.join(heavy) or 'none'}")


if __name__ == "__main__":
    main()
