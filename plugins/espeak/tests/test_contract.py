"""The contract suite for this plugin."""

from __future__ import annotations

from allophone_espeak.config import EspeakConfig, PhonemizerConfig
from allophone_testing import PhonemizerContract, PluginContract


class TestPlugin(PluginContract):
    plugin = "espeak"


class TestEspeak(PhonemizerContract):
    phonemizer = "espeak"


class TestEspeakWithoutStress(PhonemizerContract):
    phonemizer = "espeak"
    config = EspeakConfig(stress=False)
    language = "de"
    texts = ("Guten Morgen.", "Wer ist da? Ich bin's!", "Die Sonne ging auf; es war still.")


class TestSegments(PhonemizerContract):
    phonemizer = "espeak.phonemizer"
    config = PhonemizerConfig(backend="segments")
    language = "cree"
    texts = ("kwa nana.", "Kwa, nana! Ka?", "ka na; kwa ka")
