"""What lists and configures imports nothing heavy; so the command line answers in a moment."""

from __future__ import annotations

import subprocess
import sys

import pytest

from allophone.entries import KINDS
from allophone.registry import default_registry
from allophone_testing.light import HEAVY, heavy_imports


def command_line(*arguments: str) -> str:
    return f"from allophone.cli import allophone\nallophone({list(arguments)!r})"


def config_modules() -> list[str]:
    registry = default_registry()
    entries = [entry for kind in KINDS for entry in registry.entries(kind).values()]
    refs = [entry.config for entry in entries if hasattr(entry, "config")]
    return sorted({str(ref).partition(":")[0] for ref in refs})


@pytest.mark.parametrize(
    "code",
    [
        "import allophone\nallophone.__version__",
        "import allophone.builtin",
        command_line("--help"),
        command_line("plugins"),
        command_line("plugins", "--json"),
        command_line("recipes"),
    ],
)
def test_nothing_heavy_is_imported(code):
    assert heavy_imports(code) == {}


def test_it_runs_as_a_module():
    command = [sys.executable, "-m", "allophone", "--help"]
    assert (
        "synthesize" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )


def test_config_modules_import_nothing_heavy():
    modules = config_modules()
    assert "allophone.text.config" in modules
    assert heavy_imports("".join(f"import {module}\n" for module in modules)) == {}


def test_the_watch_sees_what_is_heavy_and_who_imported_it():
    found = heavy_imports("from importlib import import_module\nimport_module('cattrs')")
    assert set(found) == {"cattrs"}
    assert "numpy" in heavy_imports("from numpy import zeros")
    chain = heavy_imports("import allophone.synthesis.engine")["numpy"]
    assert chain[-1] == "allophone.synthesis.engine"
    assert {"torch", "numpy"} <= set(HEAVY)


def test_code_that_fails_is_no_proof():
    with pytest.raises(RuntimeError, match="no_such_module"):
        heavy_imports("import no_such_module")
