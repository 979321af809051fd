"""The documentation names all that there is, and what it shows is true."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path
from types import ModuleType

import click
import pytest

from allophone import hookspecs, testing
from allophone.cli import allophone
from allophone.entries import KINDS
from allophone.registry import build_registry, default_registry

ROOT = Path(__file__).parents[2]
WRITING_PLUGINS = ROOT / "docs" / "writing-plugins.md"
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "plugins").glob("*/README.md")),
]
HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("allophone_"))

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code of a page in one language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


def command_lines(page: Path) -> list[list[str]]:
    """The indented lines of a page that call `allophone`, as words."""
    found = re.findall(
        r"^ {4}(?:\.venv/bin/)?(allophone .*)$", page.read_text("utf-8"), re.MULTILINE
    )
    lines = [shlex.split(line, comments=True) for line in found]
    return [line[1 : line.index("|") if "|" in line else None] for line in lines]


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_explained_to_plugin_authors(hook):
    assert f"`{hook}`" in WRITING_PLUGINS.read_text("utf-8")
    assert any(f"def {hook}(" in block for block in blocks(WRITING_PLUGINS, "python"))


@pytest.mark.parametrize("contract", testing.__all__)
def test_every_contract_is_explained_with_what_can_be_set(contract):
    cls = getattr(testing, contract)
    row = next(
        line
        for line in WRITING_PLUGINS.read_text("utf-8").splitlines()
        if line.startswith(f"| `{contract}`")
    )
    for name in settings(cls):
        assert f"`{name}`" in row, f"{contract}.{name} can be set, and the page does not say so"


def settings(cls: type) -> set[str]:
    """The class attributes that a contract declares, its parents' too."""
    return {name for base in cls.__mro__ for name in vars(base).get("__annotations__", {})}


@pytest.mark.parametrize("command", sorted(default_registry().entries("commands")))
def test_every_command_is_shown(command):
    shown = [line for page in PAGES for line in command_lines(page)]
    mentioned = any(f"`allophone {command}" in page.read_text("utf-8") for page in PAGES)
    assert mentioned or any(line and line[0] == command for line in shown)


@each_page
def test_the_commands_that_are_shown_exist_with_their_options(page):
    context = click.Context(allophone)
    for line in command_lines(page):
        command = allophone
        words = iter(line)
        for word in words:
            if not isinstance(command, click.Group) or word.startswith("-"):
                break
            found = command.get_command(context, word)
            assert found is not None, f"{page.name} shows 'allophone {' '.join(line)}'"
            command = found
        known = {name for option in command.params for name in [*option.opts, "--help"]}
        known |= {name for option in command.params for name in option.secondary_opts}
        for word in line:
            option = word.partition("=")[0]
            if option.startswith("--") or (option.startswith("-") and not option[1:].isdigit()):
                assert option in known or option == "-", (
                    f"{page.name} shows 'allophone {' '.join(line)}', which has no option {option}"
                )


@each_page
def test_code_that_is_shown_can_be_read(page):
    for block in blocks(page, "toml"):
        tomllib.loads(block)
    for block in blocks(page, "python"):
        if not block.startswith(" "):
            ast.parse(block)


def test_the_module_with_all_hooks_registers_a_plugin():
    module = ModuleType("whisperer")
    code = next(block for block in blocks(WRITING_PLUGINS, "python") if "ImporterEntry" in block)
    exec(compile(code, str(WRITING_PLUGINS), "exec"), vars(module))
    plugin = build_registry({"whisperer": module}, strict=True).plugins[-1]
    assert set(plugin.entries) == set(KINDS)
    assert [caller for caller in HOOKS if callable(getattr(module, caller))] == HOOKS


@each_page
def test_modules_that_are_named_exist(page):
    named = re.findall(r"`(allophone(?:/\w+)+\.py)`", page.read_text("utf-8"))
    missing = [path for path in named if not (ROOT / "core" / "src" / path).is_file()]
    assert not missing


@each_page
def test_links_lead_somewhere(page):
    code = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
    prose = code.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", prose):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
