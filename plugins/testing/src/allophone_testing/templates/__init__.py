"""Writing a new plugin from the files below `plugin/`, and the package of a voice from those below `voice/`.

Each of them is the text of a file with `$name`s in it (`string.Template`) and `.template` at the end
of its own name; a folder called `package` takes the name that the plugin is imported by.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from importlib.metadata import version
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from attrs import frozen
from packaging.version import Version

from allophone.errors import UserError
from allophone.files.atomic import atomic_folder
from allophone.plugin import CORE

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@frozen
class PluginNames:
    """What a plugin called `name` is called where: `whisper-net` is the name of its model."""

    name: str

    @property
    def distribution(self) -> str:
        """What is installed: `allophone-whisper-net`."""
        return f"allophone-{self.name}"

    @property
    def package(self) -> str:
        """What is imported: `allophone_whisper_net`."""
        return self.distribution.replace("-", "_")


def write_plugin(name: str, into: Path) -> Path:
    """Write a plugin that trains and speaks into the new folder `into`/allophone-NAME, and return that.

    The folder appears whole or not at all. Raises UserError for a name that cannot be one, and where
    something lies in that place already.
    """
    names = PluginNames(checked_name(name))
    folder = into / names.distribution
    with atomic_folder(folder) as unfinished:
        fill(
            unfinished,
            "plugin",
            name=names.name,
            distribution=names.distribution,
            package=names.package,
            bounds=_bounds(version(CORE)),
        )
    return folder


def _bounds(core: str) -> str:
    """Which versions of the core go with what was written for one of them: see docs/stability.md."""
    major, minor = Version(core).release[:2]
    return f">={major}.{minor},<{major + 1}" if major else f">=0.{minor},<0.{minor + 1}"


def checked_name(name: str) -> str:
    """The name, if a plugin can have it; UserError otherwise."""
    if name.startswith("allophone-"):
        raise UserError(
            f"'{name}' begins with what all plugins are called.",
            hint=f"The plugin '{name.removeprefix('allophone-')}' comes in the package '{name}'.",
        )
    if not _NAME.fullmatch(name):
        raise UserError(
            f"'{name}' cannot be the name of a plugin.",
            hint="Use small letters and digits, with single hyphens between words: whisper-net",
        )
    return name


def fill(folder: Path, kind: str, *, package: str, **values: object) -> None:
    """Fill a folder from the templates of a kind, "plugin" or "voice"."""
    templates = resources.files(__name__).joinpath(kind)
    _fill(folder, templates, package, {"package": package, **values})


def _fill(folder: Path, templates: Traversable, package: str, values: Mapping[str, object]) -> None:
    for template in templates.iterdir():
        if template.is_dir():
            below = folder / (package if template.name == "package" else template.name)
            below.mkdir(exist_ok=True)
            _fill(below, template, package, values)
        elif template.name.endswith(".template"):
            text = Template(template.read_text(encoding="utf-8")).substitute(values)
            (folder / template.name.removesuffix(".template")).write_text(text, encoding="utf-8")
