"""The contract suite: what Allophone expects of a plugin, as test classes to subclass.

    from allophone.testing import PluginContract, SynthesizerContract, TrainerContract

    class TestPlugin(PluginContract):
        plugin = "mine"

    class TestTraining(TrainerContract):
        recipe = "mine/tiny"

    class TestSpeaking(SynthesizerContract):
        recipe = "mine/tiny"

Each class says what it promises and what can be set; each failure says what to do. They need pytest,
which comes with `allophone[testing]`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allophone.testing.batch_sampler import BatchSamplerContract
    from allophone.testing.commands_and_observers import CommandContract, ObserverContract
    from allophone.testing.corpus_reader import CorpusContract
    from allophone.testing.engine import EngineContract
    from allophone.testing.executor import ExecutorContract
    from allophone.testing.metric import MetricContract
    from allophone.testing.plugin import PluginContract
    from allophone.testing.synthesizer import SynthesizerContract
    from allophone.testing.text import NormalizerContract, PhonemizerContract
    from allophone.testing.trainer import TrainerContract
    from allophone.testing.vocoder import VocoderContract

__all__ = [
    "BatchSamplerContract",
    "CommandContract",
    "CorpusContract",
    "EngineContract",
    "ExecutorContract",
    "MetricContract",
    "NormalizerContract",
    "ObserverContract",
    "PhonemizerContract",
    "PluginContract",
    "SynthesizerContract",
    "TrainerContract",
    "VocoderContract",
]

_LAZY = {
    "BatchSamplerContract": "allophone.testing.batch_sampler",
    "CommandContract": "allophone.testing.commands_and_observers",
    "ObserverContract": "allophone.testing.commands_and_observers",
    "CorpusContract": "allophone.testing.corpus_reader",
    "EngineContract": "allophone.testing.engine",
    "ExecutorContract": "allophone.testing.executor",
    "NormalizerContract": "allophone.testing.text",
    "PhonemizerContract": "allophone.testing.text",
    "MetricContract": "allophone.testing.metric",
    "PluginContract": "allophone.testing.plugin",
    "SynthesizerContract": "allophone.testing.synthesizer",
    "TrainerContract": "allophone.testing.trainer",
    "VocoderContract": "allophone.testing.vocoder",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'allophone.testing' has no attribute '{name}'")
