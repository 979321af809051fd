"""The contract suite for this plugin and its readers."""

from __future__ import annotations

from pathlib import Path

from song_trees import SONGS
from speech_trees import SPEECH

from allophone.registry import default_registry
from allophone_testing import CorpusContract, PluginContract

TREES = SPEECH | SONGS


class TestPlugin(PluginContract):
    plugin = "corpora"


class OnTree(CorpusContract):
    """The contract of a reader, on the test corpus with its name."""

    def __init_subclass__(cls) -> None:
        tree = TREES[cls.corpus]
        cls.options = tree.options
        cls.utterances = {id: text for id, (_, text, _) in tree.utterances.items()}
        cls.required = tree.required
        cls.listings = tree.listings
        cls.recording = tree.recording
        cls.lists_missing = tree.lists_missing

    @classmethod
    def write_tree(cls, root: Path) -> None:
        TREES[cls.corpus].write(root)


class TestLJSpeech(OnTree):
    corpus = "ljspeech"


class TestVCTK(OnTree):
    corpus = "vctk"


class TestLibriTTS(OnTree):
    corpus = "libritts"


class TestHiFiTTS(OnTree):
    corpus = "hifitts"


class TestLibriLight(OnTree):
    corpus = "librilight"


class TestFestvox(OnTree):
    corpus = "festvox"


class TestAsterisk(OnTree):
    corpus = "asterisk"


class TestCSD(OnTree):
    corpus = "csd"


class TestKiSing(OnTree):
    corpus = "kising"


class TestM4Singer(OnTree):
    corpus = "m4singer"


class TestNUS48E(OnTree):
    corpus = "nus48e"


class TestOpencpop(OnTree):
    corpus = "opencpop"


class TestOpenSinger(OnTree):
    corpus = "opensinger"


class TestOpera(OnTree):
    corpus = "opera"


class TestPJS(OnTree):
    corpus = "pjs"


class TestPopBuTFy(OnTree):
    corpus = "popbutfy"


class TestPopCS(OnTree):
    corpus = "popcs"


def test_every_reader_has_a_contract() -> None:
    held = {contract.corpus for contract in OnTree.__subclasses__()}
    entries = default_registry().entries("corpora")
    ours = {n for n in entries if default_registry().owner("corpora", n).name == "corpora"}
    assert held == ours
