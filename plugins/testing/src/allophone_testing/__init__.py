"""The contract suite: what Allophone expects of a plugin, as test classes to subclass.

    from allophone_testing import PluginContract, SynthesizerContract, TrainerContract

    class TestPlugin(PluginContract):
        plugin = "mine"

    class TestTraining(TrainerContract):
        recipe = "mine/tiny"

    class TestSpeaking(SynthesizerContract):
        recipe = "mine/tiny"

Each class says what it promises and what can be set; each failure says what to do.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allophone_testing.batch_sampler import BatchSamplerContract
    from allophone_testing.commands_and_observers import CommandContract, ObserverContract
    from allophone_testing.corpus_reader import CorpusContract
    from allophone_testing.engine import EngineContract
    from allophone_testing.executor import ExecutorContract
    from allophone_testing.installed_voice import VoiceContract
    from allophone_testing.metric import MetricContract
    from allophone_testing.plugin import PluginContract
    from allophone_testing.synthesizer import SynthesizerContract
    from allophone_testing.text import NormalizerContract, PhonemizerContract
    from allophone_testing.trainer import TrainerContract
    from allophone_testing.vocoder import VocoderContract

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
    "VoiceContract",
]

_LAZY = {
    "BatchSamplerContract": "allophone_testing.batch_sampler",
    "CommandContract": "allophone_testing.commands_and_observers",
    "ObserverContract": "allophone_testing.commands_and_observers",
    "CorpusContract": "allophone_testing.corpus_reader",
    "EngineContract": "allophone_testing.engine",
    "ExecutorContract": "allophone_testing.executor",
    "NormalizerContract": "allophone_testing.text",
    "PhonemizerContract": "allophone_testing.text",
    "MetricContract": "allophone_testing.metric",
    "PluginContract": "allophone_testing.plugin",
    "SynthesizerContract": "allophone_testing.synthesizer",
    "TrainerContract": "allophone_testing.trainer",
    "VocoderContract": "allophone_testing.vocoder",
    "VoiceContract": "allophone_testing.installed_voice",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'allophone_testing' has no attribute '{name}'")
