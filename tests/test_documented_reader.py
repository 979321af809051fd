"""The corpus reader shown in docs/corpora.md passes the contract suite."""

from __future__ import annotations

import re
import sys
from types import ModuleType

import pytest
from distributions import ROOT

from allophone.entries import CorpusEntry
from allophone.hookspecs import hookimpl
from allophone.registry import build_registry


def documented() -> ModuleType:
    """The reader and its test from docs/corpora.md."""
    page = (ROOT / "docs" / "corpora.md").read_text("utf-8")
    code = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    module = ModuleType("documented")
    sys.modules[module.__name__] = module
    for block in code:
        exec(compile(block, "docs/corpora.md", "exec"), vars(module))
    return module


DOCUMENTED = documented()


class TestDocumented(DOCUMENTED.TestLibrary):
    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls):
        module = DOCUMENTED.__name__
        plugin = ModuleType("inline")
        plugin.CONTRACT = 1
        entry = CorpusEntry(
            name="library",
            summary="Recordings made in libraries.",
            config=f"{module}:LibraryConfig",
            reader=f"{module}:read_library",
        )
        plugin.allophone_corpora = hookimpl(lambda: [entry])
        return build_registry({"inline": plugin})
