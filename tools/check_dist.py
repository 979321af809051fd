"""Check the distributions built by `make dist`: their files, and that they work when installed.

    python tools/check_dist.py                    # files; synthesis, training, a contract suite
    python tools/check_dist.py --alone            # each distribution's own tests
    python tools/check_dist.py --alone allophone-vits allophone-onnx

Distributions are installed from the wheels in dist/ into fresh environments outside of the repository, other packages
from the package index. Needs `uv` in the folder of this interpreter or on the path.
"""

# ruff: noqa: T201 - a command that prints

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import wave
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from distributions import ROOT, Distribution, distributions

DIST = ROOT / "dist"
LIGHT = ("allophone-onnx", "allophone-espeak", "allophone-english", "allophone-voice-joe")
"""The packages for synthesis without PyTorch."""

HEAVY = ("torch", "numba", "librosa")
"""Packages that must not be installed with them."""

TRAINED = "allophone-fastspeech2"
"""The family whose recipe `tiny` is trained and whose contract suite is run."""


@dataclass(frozen=True)
class Environment:
    """A fresh virtual environment with a working folder."""

    folder: Path

    @classmethod
    def with_packages(cls, folder: Path, *requirements: str) -> Environment:
        """Create an environment; distributions of this repository are installed only from dist/."""
        made = cls(folder)
        made.work.mkdir(parents=True)
        uv("venv", "--quiet", "--python", sys.executable, folder / "venv")
        wheels = folder / "wheels.txt"
        wheels.write_text(
            "".join(f"{one.name} @ {one.built(DIST)[0].as_uri()}\n" for one in distributions())
        )
        target = ("--python", folder / "venv", "--constraint", wheels)
        uv("pip", "install", "--quiet", *target, *requirements)
        return made

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def run(self, program: str, *arguments: str | Path) -> str:
        """Run a program of the environment and return its output; on failure, print it and raise CalledProcessError."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "ALLOPHONE", "VIRTUAL_ENV"))
        }
        done = subprocess.run(
            [self.folder / "venv" / "bin" / program, *arguments],
            cwd=self.work,
            env={**kept, "OMP_NUM_THREADS": "1", "ALLOPHONE_STRICT_PLUGINS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            print(done.stdout[-12000:])
            done.check_returncode()
        return done.stdout

    def tests(self, one: Distribution, *options: str) -> str:
        """Run the tests in a source distribution; returns how many passed, and why others were skipped."""
        with tarfile.open(one.built(DIST)[1]) as archive:
            archive.extractall(self.work, filter="data")
        (unpacked,) = self.work.glob(f"{one.name.replace('-', '_')}-*")
        shutil.rmtree(unpacked / "src")  # Test the installed package, not the sources.
        (unpacked / "pytest.ini").write_text(
            "[pytest]\npythonpath = tests\n"
            "addopts = -q -rfEs -p no:cacheprovider --import-mode=importlib\n"
        )
        lines = self.run("pytest", *options, unpacked / "tests").strip().splitlines()
        skipped = {line.partition(": ")[2] for line in lines if line.startswith("SKIPPED")}
        return "; skipped: ".join([lines[-1], *sorted(skipped)])


def uv(*arguments: str | Path) -> None:
    """Run uv."""
    beside = Path(sys.executable).with_name("uv")
    subprocess.run([beside if beside.exists() else "uv", *arguments], check=True)


def check_files(folder: Path) -> str:
    """Each wheel has its licence and no other files; each source distribution builds the same wheel."""
    for one in distributions():
        wheel, source = one.built(DIST)
        held = contents(wheel)
        info = f"{one.package.name}-{one.version}.dist-info"
        licence = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
        assert held[f"{info}/licenses/LICENSE"] == licence, f"{wheel.name} has another LICENSE"
        assert f"{one.package.name}/py.typed" in held, f"{wheel.name} has no py.typed"
        strange = [name for name in held if not name.startswith((f"{one.package.name}/", info))]
        assert not strange, f"{wheel.name} would install {strange}"
        with tarfile.open(source) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        missing = {"LICENSE", "README.md", "pyproject.toml"} - names
        tests = {path.relative_to(one.folder).as_posix() for path in one.folder.glob("tests/*.py")}
        assert not missing | tests - names, (
            f"{source.name} does not contain {missing | tests - names}"
        )
        # `make dist` builds the wheel from the source distribution; this one is built from the working tree,
        # without the output of earlier builds.
        tree, built = folder / one.name / "tree", folder / one.name / "built"
        shutil.copytree(one.folder, tree, ignore=shutil.ignore_patterns("build", "*.egg-info"))
        options = ("--quiet", "--wheel", "--python", sys.executable, "--out-dir", built)
        uv("build", *options, tree)
        (from_tree,) = built.glob("*.whl")
        expected = contents(from_tree)
        different = {
            name for name in held.keys() | expected.keys() if held.get(name) != expected.get(name)
        }
        # Files that auditwheel rewrites, and compiled files, which may not be reproducible.
        different = {name for name in different if not name.endswith((".so", "/WHEEL", "/RECORD"))}
        assert not different, (
            f"{source.name} and the working tree build different wheels: {different}"
        )
    return f"{len(distributions())} wheels and source distributions"


def contents(wheel: Path) -> Mapping[str, str]:
    """The digest of each file in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if not name.endswith("/")
        }


def check_speaking(folder: Path) -> str:
    """Synthesis works with the light packages, without PyTorch."""
    here = {one.name for one in distributions()}
    environment = Environment.with_packages(folder, *(name for name in LIGHT if name in here))
    absent = (
        "import sys, importlib.util as u; assert not [n for n in sys.argv[1:] if u.find_spec(n)]"
    )
    environment.run("python", "-c", absent, *HEAVY)
    environment.run("allophone", "say", "Good morning.", "--voice", "joe", "--out", "morning.wav")
    with wave.open(str(environment.work / "morning.wav")) as audio:
        seconds = audio.getnframes() / audio.getframerate()
    assert 0.4 < seconds < 3, f"'Good morning.' lasts {seconds} s"
    installed = sum(path.stat().st_size for path in (folder / "venv").rglob("*") if path.is_file())
    return f"{seconds:.2f} s of speech from {installed / 1e6:.0f} MB"


def check_training(folder: Path) -> str:
    """Train a recipe for three steps on synthetic recordings, synthesize, and run the plugin's contract suite."""
    one = next(one for one in distributions() if one.name == TRAINED)
    environment = Environment.with_packages(folder, f"{TRAINED}[testing]")
    recipe = f"{one.folder.name}/tiny"
    environment.run("python", "-m", "allophone_testing.corpus", "recordings")
    environment.run("allophone", "prepare", recipe, "--root", "recordings")
    environment.run("allophone", "extract", recipe)
    environment.run("allophone", "train", recipe, "--run", "runs/tiny", "--max-steps", "3")
    environment.run("allophone", "say", "boats came home", "--voice", "runs/tiny", "--out", "a.wav")
    return environment.tests(one, "-k", "contract")


def check_alone(one: Distribution, folder: Path) -> str:
    """Run the tests of a distribution, installed with only its dependencies and its extra `testing`."""
    extras = {"testing", "torch"} & one.project.get("optional-dependencies", {}).keys()
    environment = Environment.with_packages(folder, f"{one.name}[{','.join(sorted(extras))}]")
    return environment.tests(one)


def main() -> None:
    """Run the requested checks; exit status 1 if one fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="distributions for --alone (default: all)")
    parser.add_argument("--alone", action="store_true")
    arguments = parser.parse_args()
    checks: dict[str, Callable[[Path], str]] = {
        "files": check_files,
        "speaking": check_speaking,
        "training": check_training,
    }
    if arguments.alone:
        checks = {
            one.name: partial(check_alone, one)
            for one in distributions()
            if one.name in (arguments.names or [one.name])
        }
    failed = []
    for name, check in checks.items():
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="allophone-") as folder:
            try:
                said = check(Path(folder) / "check")
            except (AssertionError, OSError, subprocess.CalledProcessError) as error:
                failed.append(name)
                said = f"FAILED: {error}"
        print(f"{name}: {said} ({time.perf_counter() - started:.0f} s)", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
