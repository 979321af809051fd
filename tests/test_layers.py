"""Modules of the core import only from their own layer or lower ones, and name no plugin."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import fields_dict
from distributions import ROOT

import allophone
from allophone import hookspecs
from allophone.data.manifest import Utterance
from allophone.entries import KINDS
from allophone.text import ssml

SOURCE = Path(allophone.__file__).parent
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")
PLUGINS = sorted(ROOT.glob("plugins/*/pyproject.toml"))


def layers() -> list[str]:
    """The list of layers in docs/architecture.md, one line per layer, lowest first."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    block = re.search(r"^Layers, bottom up:\n\n((?: {4}.*\n)+)", page, re.MULTILINE)
    assert block, "docs/architecture.md has no list 'Layers, bottom up:'"
    return block[1].splitlines()


LAYERS = [set(re.findall(r"\w+", line)) for line in layers()]
INDEPENDENT = [set(re.findall(r"\w+", line)) for line in layers() if "|" in line]
"""Parts of one layer that must not import each other."""

each_module = pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: str(path.relative_to(SOURCE))
)


def part_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def layer_of(part: str) -> int:
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


def imported_parts(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The parts of the core that a module imports, with line numbers; "" is the package itself."""
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


def test_every_part_is_in_one_layer():
    parts = {part_of(path) for path in MODULES}
    assert parts == set().union(*LAYERS), "list every part once in docs/architecture.md"
    assert sum(map(len, LAYERS)) == len(parts), "a part is listed in two layers"


@each_module
def test_nothing_imports_upward(path):
    part = part_of(path)
    for imported, line in imported_parts(ast.parse(path.read_text("utf-8"))):
        assert any(imported in parts for parts in LAYERS), (
            f"{path}:{line} imports 'allophone.{imported}', which is in no layer; inside the "
            "core, import a name from the module that defines it"
        )
        assert layer_of(imported) <= layer_of(part), (
            f"{path}:{line}: '{part}' is below '{imported}' and must not import it"
        )
        independent = any({imported, part} <= parts for parts in INDEPENDENT)
        assert imported == part or not independent, (
            f"{path}:{line}: '{part}' and '{imported}' must not import each other; "
            "move what both need to a lower layer"
        )


def plugin_names() -> set[str]:
    """Distribution and package names of this repository's plugins."""
    assert PLUGINS, f"no plugins/*/pyproject.toml in {ROOT}"
    names = set()
    for path in PLUGINS:
        distribution = tomllib.loads(path.read_text("utf-8"))["project"]["name"]
        names |= {distribution, distribution.replace("-", "_")}
    return names


def string_literals(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The string literals of a module, without docstrings, with line numbers."""
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docstrings
        ):
            yield node.value, node.lineno


@each_module
def test_the_core_names_no_plugin(path):
    text = path.read_text("utf-8")
    names = plugin_names()
    for name in names - set(vars(hookspecs)):
        assert name not in text, f"{path} names the plugin '{name}'"
    families = {name.removeprefix("allophone-") for name in names if "-" in name}
    # A plugin may share its name with a kind of entry, such as "corpora", with a field of the manifest, such
    # as "labels", with an element of SSML, "prosody", or with the extra for tests that plugins have.
    shared = {*KINDS, *fields_dict(Utterance), *ssml.ELEMENTS, "testing"}
    families = "|".join(sorted(families - shared))
    for string, line in string_literals(ast.parse(text)):
        assert not re.fullmatch(rf"({families})([/.:].*)?", string), (
            f"{path}:{line} names the plugin family in {string!r}"
        )
