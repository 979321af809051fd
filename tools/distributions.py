"""The distributions of this repository: the core and the folders in plugins/. Uses only the standard library."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HOME = "https://example.org/allophone"
"""Placeholder of the project's URL; followed by a path, it refers to a file of this repository."""

SUITE = "allophone-testing"
"""The distribution that uses modules of the core that are not public, so it needs exactly its version."""

OURS = re.compile(r"(?P<name>allophone(?:-[a-z0-9-]+)?)(?P<extras>\[[^]]*\])?(?P<bounds>.*)")
"""A requirement of one of these distributions."""


@dataclass(frozen=True)
class Distribution:
    """A distribution and its folder."""

    folder: Path

    @cached_property
    def project(self) -> dict[str, Any]:
        """The table [project] of the pyproject.toml."""
        found: dict[str, Any] = tomllib.loads(self.pyproject.read_text("utf-8"))["project"]
        return found

    @property
    def pyproject(self) -> Path:
        return self.folder / "pyproject.toml"

    @property
    def name(self) -> str:
        return str(self.project["name"])

    @property
    def version(self) -> str:
        return str(self.project["version"])

    @property
    def place(self) -> str:
        """The folder relative to the repository: "plugins/vits"."""
        return self.folder.relative_to(ROOT).as_posix()

    @property
    def package(self) -> Path:
        """The folder of the package that it installs."""
        return self.folder / "src" / self.name.replace("-", "_")

    def built(self, dist: Path) -> tuple[Path, Path]:
        """The wheel and the source distribution in the folder of built files."""
        stem = f"{self.name.replace('-', '_')}-{self.version}"
        (wheel,) = dist.glob(f"{stem}-*.whl")
        (source,) = dist.glob(f"{stem}.tar.gz")
        return wheel, source

    def bounds(self, version: str) -> str:
        """The bounds of its requirements of other distributions of this repository, at a version of all."""
        return f"=={version}" if self.name == SUITE else bounds(version)

    def requirements(self) -> Iterator[str]:
        """All requirements, including those of extras."""
        yield from self.project.get("dependencies", ())
        for required in self.project.get("optional-dependencies", {}).values():
            yield from required


def distributions() -> list[Distribution]:
    """The core first, then the plugins by name of their folder."""
    folders = [
        ROOT / "core",
        *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml")),
    ]
    return [Distribution(folder) for folder in folders]


def bounds(version: str) -> str:
    """The bounds for requirements between our distributions: ">=0.1,<0.2", and from 1.0 on ">=1.2,<2"."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return f">={major}.{minor},<{major + 1}" if major else f">=0.{minor},<0.{minor + 1}"
