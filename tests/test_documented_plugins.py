"""What docs/writing-plugins.md shows of each kind (an engine, a batch sampler, ...) keeps its contract."""

from __future__ import annotations

import re
import sys
from types import ModuleType

import pytest
import soundfile
from click.testing import CliRunner
from distributions import ROOT

from allophone.entries import (
    BatchSamplerEntry,
    CommandEntry,
    EngineEntry,
    ExecutorEntry,
    MetricEntry,
    NormalizerEntry,
    PhonemizerEntry,
    Score,
)
from allophone.hookspecs import hookimpl
from allophone.registry import build_registry
from allophone_testing import CommandContract

MODULES = {
    "tones": "class TonesEngine",
    "runes": "class RunesPhonemizer",
    "norse": "class NorseNormalizer",
    "batches": "class ShortFirst:",
    "clipping": "class Clipping:",
    "threads": "class Threads:",
    "hush": "def hush",
}
"""What a module of a plugin is called, and what tells its block on the page."""


def blocks():
    """The Python of the page, without excerpts."""
    page = (ROOT / "docs" / "writing-plugins.md").read_text("utf-8")
    pattern = r"^(<!-- excerpt: .+ -->\n)?```python\n([\s\S]*?)^```$"
    return [code for excerpt, code in re.findall(pattern, page, re.MULTILINE) if not excerpt]


def documented():
    """The page as one program: it has the test classes."""
    module = ModuleType("documented")
    sys.modules[module.__name__] = module
    for block in blocks():
        exec(compile(block, "docs/writing-plugins.md", "exec"), vars(module))
    return module


DOCUMENTED = documented()


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """A block of the page each, in modules that other processes can import too: the prefix of their names."""
    folder = tmp_path_factory.mktemp("shown")
    for name, mark in MODULES.items():
        (code,) = (block for block in blocks() if mark in block)
        (folder / f"shown_{name}.py").write_text(code, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", str(folder))
        yield "shown_"
    for name in MODULES:
        sys.modules.pop(f"shown_{name}", None)


@pytest.fixture(scope="module")
def plugin(modules):
    """A plugin that offers what the page shows."""
    module = ModuleType("shown")
    module.CONTRACT = 1
    offered = {
        "engines": EngineEntry(
            name="tones",
            summary="Tones.",
            engine=f"{modules}tones:load",
            recognises=f"{modules}tones:recognises",
            light=True,
        ),
        "phonemizers": PhonemizerEntry(
            name="runes",
            summary="Runes.",
            config=f"{modules}runes:RunesConfig",
            phonemizer=f"{modules}runes:RunesPhonemizer",
        ),
        "normalizers": NormalizerEntry(
            language="non", summary="Norse.", normalizer=f"{modules}norse:NorseNormalizer"
        ),
        "batch_samplers": BatchSamplerEntry(
            name="short-first",
            summary="Short first.",
            config=f"{modules}batches:ShortFirstConfig",
            sampler=f"{modules}batches:ShortFirst",
        ),
        "metrics": MetricEntry(
            name="clipping",
            summary="Clipped samples.",
            config=f"{modules}clipping:ClippingConfig",
            metric=f"{modules}clipping:Clipping",
            scores=(Score(name="clipped", better="lower", unit="%"),),
        ),
        "executors": ExecutorEntry(
            name="threads", summary="Threads.", executor=f"{modules}threads:Threads"
        ),
        "commands": CommandEntry(name="hush", summary="Quieter.", command=f"{modules}hush:hush"),
    }
    for kind, entry in offered.items():
        setattr(module, f"allophone_{kind}", hookimpl(lambda entry=entry: [entry]))
    return build_registry({"shown": module}, strict=True)


class OfThePage:
    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls, plugin):
        return plugin


class TestTones(OfThePage, DOCUMENTED.TestTones):
    pass


class TestThreads(OfThePage, DOCUMENTED.TestThreads):
    pass


class TestRunes(OfThePage, DOCUMENTED.TestRunes):
    pass


class TestNorse(OfThePage, DOCUMENTED.TestNorse):
    pass


class TestShortFirst(OfThePage, DOCUMENTED.TestShortFirst):
    pass


class TestClipping(OfThePage, DOCUMENTED.TestClipping):
    pass


class TestCommand(OfThePage, CommandContract):
    plugin = "shown"


def test_the_command_works(plugin, tmp_path):
    soundfile.write(tmp_path / "loud.wav", [0.8, -0.8] * 100, 8000)
    command = plugin.load("commands", "hush", "command")
    for status in (0, 1):
        done = CliRunner().invoke(command, [str(tmp_path / "loud.wav")])
        assert done.exit_code == status, "it replaces nothing"
    samples, rate = soundfile.read(tmp_path / "loud-hushed.wav")
    assert rate == 8000
    assert abs(samples).max() == pytest.approx(0.2, abs=1e-3)
