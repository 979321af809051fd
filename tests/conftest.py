"""An environment with a third-party plugin, written by `allophone new-plugin` outside of the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from attrs import frozen

ALLOPHONE = "from allophone.cli import main; main()"


@frozen(kw_only=True)
class Environment:
    """A folder of additional packages for this interpreter, and a working folder for commands."""

    packages: Path
    folder: Path

    def allophone(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command line in a new process."""
        return self.python("-c", ALLOPHONE, *arguments, **variables)

    def python(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run this interpreter with the additional packages."""
        kept = {name: value for name, value in os.environ.items() if "ALLOPHONE" not in name}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**kept, "PYTHONPATH": str(self.packages), **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def install(self, project: Path) -> None:
        """Install a project as pip does: its package, and what its distribution says of itself."""
        about = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
        shutil.copytree(project / "src", self.packages, dirs_exist_ok=True)
        points = []
        for group, named in about["entry-points"].items():
            points += [f"[{group}]", *(f"{name} = {value}" for name, value in named.items())]
        self.describe(about["name"], about["version"], "\n".join(points))

    def describe(self, name: str, version: str, entry_points: str) -> None:
        """Write the metadata of an installed distribution."""
        info = self.packages / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(metadata, "utf-8")
        (info / "entry_points.txt").write_text(f"{entry_points}\n", "utf-8")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An empty environment on top of this one."""
    place = tmp_path_factory.mktemp("environment")
    packages, folder = place / "packages", place / "elsewhere"
    packages.mkdir()
    folder.mkdir()
    return Environment(packages=packages, folder=folder)
