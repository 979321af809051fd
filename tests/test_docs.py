"""The documentation is complete, and its code, commands and links work."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest
from distributions import ROOT, distributions

import allophone_testing
from allophone import hookspecs
from allophone.cli import allophone
from allophone.config import resolve
from allophone.entries import KINDS
from allophone.registry import build_registry, default_registry

WRITING_PLUGINS = ROOT / "docs" / "writing-plugins.md"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *(one.folder / "README.md" for one in distributions()),
]
HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("allophone_"))

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(page: Path, language: str, *, excerpts: bool = True) -> list[str]:
    """The fenced code of a page in one language; `<!-- excerpt: why -->` above a block marks incomplete code."""
    pattern = rf"^(<!-- excerpt: .+ -->\n)?```{language}\n([\s\S]*?)^```$"
    found = re.findall(pattern, page.read_text("utf-8"), re.MULTILINE)
    return [code for excerpt, code in found if excerpts or not excerpt]


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


@pytest.mark.parametrize("contract", allophone_testing.__all__)
def test_every_contract_is_documented_with_its_attributes(contract):
    cls = getattr(allophone_testing, contract)
    row = next(
        line
        for line in WRITING_PLUGINS.read_text("utf-8").splitlines()
        if line.startswith(f"| `{contract}`")
    )
    for name in settings(cls):
        assert f"`{name}`" in row, f"{contract}.{name} is not documented in docs/writing-plugins.md"


def settings(cls: type) -> set[str]:
    """The class attributes of a contract and its parents."""
    return {name for base in cls.__mro__ for name in vars(base).get("__annotations__", {})}


@pytest.mark.parametrize("command", sorted(default_registry().entries("commands")))
def test_every_command_is_shown(command):
    shown = [line for page in PAGES for line in command_lines(page)]
    mentioned = any(f"`allophone {command}" in page.read_text("utf-8") for page in PAGES)
    assert mentioned or any(line and line[0] == command for line in shown)


@each_page
def test_commands_can_be_parsed(page, monkeypatch):
    """Commands and options exist, values have valid types, and no required option is missing."""
    # The files in the examples do not exist.
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, context: Path(value))
    for line in command_lines(page):
        try:
            parse(line)
        except click.ClickException as error:
            pytest.fail(f"{page.name} shows 'allophone {' '.join(line)}': {error.format_message()}")


def parse(line: list[str]) -> None:
    """Parse a command line as click does, without running the command."""
    command: click.Command = allophone
    context, words = click.Context(allophone, info_name="allophone"), list(line)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"There is no command '{name}'.")
        command, context = found, click.Context(found, info_name=name, parent=context)
    command.make_context(command.name, words, parent=context.parent)


def test_invalid_commands_are_detected():
    parse(shlex.split("config show vits/tiny --origins"))
    for wrong in (
        "sya hello",
        "config shwo vits/tiny",
        "say hello --vocie joe",
        "say hello --seed x",
        "train",
    ):
        with pytest.raises(click.UsageError):
            parse(shlex.split(wrong))


@each_page
def test_toml_blocks_are_valid_experiments(page, tmp_path, monkeypatch):
    """A TOML block is an experiment or a part of one, unless it is from a pyproject.toml."""
    for number, block in enumerate(blocks(page, "toml")):
        if "[project" not in block:
            path = tmp_path / f"block-{number}.toml"
            path.write_text(block, "utf-8")
            resolve(str(path))


@each_page
def test_python_blocks_run(page, tmp_path, monkeypatch):
    """The blocks of a page run in order, as one program."""
    monkeypatch.chdir(tmp_path)
    module = ModuleType("shown")
    monkeypatch.setitem(sys.modules, "shown", module)
    for code in blocks(page, "python", excerpts=False):
        exec(compile(code, str(page), "exec"), vars(module))


@each_page
def test_imports_of_excerpts_work(page):
    for code in blocks(page, "python"):
        imports = re.findall(r"^(?:from|import) .*(?:\n[ )].*)*", code, re.MULTILINE)
        exec(compile("\n".join(imports), str(page), "exec"), {})


@each_page
def test_code_is_fenced_with_its_language(page):
    """Only fenced code is run; indented blocks are for commands and folder layouts."""
    text = re.sub(r"^```[\s\S]*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE)
    indented = re.findall(
        r"^ {4}((?:import|from) \w.*|\[\[?[a-z_.]+\]\]?|\w+ = .*)$", text, re.MULTILINE
    )
    assert not indented, f"{page.name}: put ```python or ```toml around {indented}"


@each_page
def test_make_targets_and_modules_exist(page):
    """Targets of make, and modules run with python -m."""
    text = page.read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^ {4}make ([a-z-]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"
    for module in re.findall(r"python -m (allophone[\w.]*)", text):
        assert importlib.util.find_spec(module), f"{page.name}: python -m {module}"


def test_the_module_with_all_hooks_registers_a_plugin():
    module = ModuleType("whisperer")
    code = next(block for block in blocks(WRITING_PLUGINS, "python") if "ImporterEntry" in block)
    exec(compile(code, str(WRITING_PLUGINS), "exec"), vars(module))
    plugin = build_registry({"whisperer": module}, strict=True).plugins[-1]
    assert set(plugin.entries) == set(KINDS)
    assert [caller for caller in HOOKS if callable(getattr(module, caller))] == HOOKS


@each_page
def test_named_modules_exist(page):
    named = re.findall(r"`(allophone(?:/\w+)+\.py)`", page.read_text("utf-8"))
    missing = [path for path in named if not (ROOT / "core" / "src" / path).is_file()]
    assert not missing


@each_page
def test_links_have_targets(page):
    code = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
    prose = code.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", prose):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
