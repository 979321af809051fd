"""Set the version of all distributions, and the bounds of requirements between them.

    python tools/set_version.py 0.2.0

All are released together: one version is written in every pyproject.toml, because each must be built
from its own source distribution, where no other file of this repository is.
"""

from __future__ import annotations

import re
import sys

from distributions import OURS, ROOT, Distribution, distributions


def set_version(version: str) -> None:
    """Write the version to every pyproject.toml."""
    for path in [ROOT / "pyproject.toml", *(one.pyproject for one in distributions())]:
        text = path.read_text("utf-8")
        path.write_text(_with_version(text, version), "utf-8")
    for one in distributions():
        one.pyproject.write_text(with_bounds(one, one.bounds(version)), "utf-8")


def _with_version(text: str, version: str) -> str:
    return re.sub(r'^version = ".*"$', f'version = "{version}"', text, count=1, flags=re.MULTILINE)


def with_bounds(one: Distribution, wanted: str) -> str:
    """The pyproject.toml with bounds on all requirements of our distributions, except on itself."""
    text = one.pyproject.read_text("utf-8")
    for required in set(one.requirements()):
        ours = OURS.fullmatch(required)
        if ours and ours["name"] != one.name:
            bounded = f"{ours['name']}{ours['extras'] or ''}{wanted}"
            text = text.replace(f'"{required}"', f'"{bounded}"')
    return text


if __name__ == "__main__":
    if len(sys.argv) != 2 or not re.fullmatch(r"\d+\.\d+\.\d+([a-z]+\d+)?", sys.argv[1]):
        sys.exit("Give the version: python tools/set_version.py 0.2.0")
    set_version(sys.argv[1])
