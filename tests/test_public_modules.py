"""The plugins of this repository import only the public modules of the core, listed in docs/api.md.

The contract suite is the exception that docs/stability.md names.
"""

from __future__ import annotations

import ast
import importlib.util
import re

import pytest
from distributions import ROOT, SUITE, distributions

PUBLIC = re.findall(
    r"^- `([a-z0-9_.]+)`$", (ROOT / "docs" / "api.md").read_text("utf-8"), re.MULTILINE
)
PLUGINS = [one for one in distributions()[1:] if one.name != SUITE]


def imported(path):
    """The modules of the core that a file imports, with line numbers."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [name if is_module(name) else node.module or "" for name in names]
        else:
            continue
        for name in found:
            if name.partition(".")[0] == "allophone":
                yield name, node.lineno


def is_module(name):
    path = ROOT / "core" / "src" / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or path.is_dir()


@pytest.mark.parametrize("module", PUBLIC)
def test_public_modules_exist_and_have_docstrings(module):
    spec = importlib.util.find_spec(module)
    assert spec is not None
    with open(spec.origin, encoding="utf-8") as file:
        assert ast.get_docstring(ast.parse(file.read()))


@pytest.mark.parametrize("one", PLUGINS, ids=lambda one: one.place)
def test_plugins_import_only_public_modules(one):
    private = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sorted(one.package.rglob("*.py"))
        for module, line in imported(path)
        if module not in PUBLIC
    ]
    assert not private, "docs/api.md does not list: " + ", ".join(private)


def test_the_plugin_template_imports_only_public_modules():
    (suite,) = (one for one in distributions() if one.name == SUITE)
    templates = suite.package / "templates" / "plugin"
    found = {
        module
        for path in templates.rglob("*.py.template")
        for module in re.findall(
            r"^ *(?:from|import) (allophone[a-z_.]*)", path.read_text("utf-8"), re.MULTILINE
        )
    }
    assert found
    assert found <= set(PUBLIC)
