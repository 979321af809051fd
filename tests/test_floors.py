"""The house stands on its floors: nothing imports upward, and the core names no plugin."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributions import ROOT

import allophone
from allophone import hookspecs
from allophone.entries import KINDS

SOURCE = Path(allophone.__file__).parent
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")
PLUGINS = sorted(ROOT.glob("plugins/*/pyproject.toml"))


def floors() -> list[str]:
    """The floors as docs/architecture.md has them, a line each, from the ground."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    block = re.search(r"^Floors, from the ground:\n\n((?: {4}.*\n)+)", page, re.MULTILINE)
    assert block, "docs/architecture.md has no list of floors"
    return block[1].splitlines()


FLOORS = [set(re.findall(r"\w+", line)) for line in floors()]
APART = [set(re.findall(r"\w+", line)) for line in floors() if "|" in line]
"""Parts of one floor that must not know each other."""

each_module = pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: str(path.relative_to(SOURCE))
)


def part_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def floor_of(part: str) -> int:
    return next(number for number, parts in enumerate(FLOORS) if part in parts)


def imported_parts(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The parts of the core that a module imports, anywhere in it, with the line; "" is the top."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            names = [node.module or ""]
            if node.module == "allophone":
                names = [f"allophone.{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] == "allophone":
                yield name.partition(".")[2].split(".")[0], node.lineno


def test_every_part_has_a_floor():
    parts = {part_of(path) for path in MODULES}
    assert parts == set().union(*FLOORS), "name all parts, and no others, in docs/architecture.md"
    assert sum(map(len, FLOORS)) == len(parts), "a part stands on two floors"


@each_module
def test_nothing_imports_upward(path):
    part = part_of(path)
    for imported, line in imported_parts(ast.parse(path.read_text("utf-8"))):
        assert any(imported in parts for parts in FLOORS), (
            f"{path}:{line} imports 'allophone.{imported}', which stands on no floor; inside the "
            "core, import from the module that defines a name"
        )
        assert floor_of(imported) <= floor_of(part), (
            f"{path}:{line}: '{part}' stands below '{imported}' and must not import it"
        )
        side_by_side = any({imported, part} <= parts for parts in APART)
        assert imported == part or not side_by_side, (
            f"{path}:{line}: '{part}' and '{imported}' stand side by side; "
            "what both need belongs below them"
        )


def plugin_names() -> set[str]:
    """How the plugins of this workspace are called, installed and imported."""
    assert PLUGINS, "the plugins of the workspace are not where this test looks for them"
    names = set()
    for path in PLUGINS:
        distribution = tomllib.loads(path.read_text("utf-8"))["project"]["name"]
        names |= {distribution, distribution.replace("-", "_")}
    return names


def spoken_strings(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The strings of a module that are no docstrings."""
    silent = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in silent
        ):
            yield node.value, node.lineno


@each_module
def test_the_core_names_no_plugin(path):
    text = path.read_text("utf-8")
    names = plugin_names()
    for name in names - set(vars(hookspecs)):
        assert name not in text, f"{path} names the plugin '{name}'"
    families = {name.removeprefix("allophone-") for name in names if "-" in name}
    # A plugin may have the name of what it offers, which the core does name: a hook, a kind.
    families = "|".join(sorted(families - set(KINDS)))
    for string, line in spoken_strings(ast.parse(text)):
        assert not re.fullmatch(rf"({families})([/.:].*)?", string), (
            f"{path}:{line} names the plugin family in {string!r}"
        )
