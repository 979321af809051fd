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

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{name}" for name in ("plugin", "trainer", "synthesizer", "vocoder"))
)

from allophone.testing.plugin import PluginContract  # noqa: E402
from allophone.testing.synthesizer import SynthesizerContract  # noqa: E402
from allophone.testing.trainer import TrainerContract  # noqa: E402
from allophone.testing.vocoder import VocoderContract  # noqa: E402

__all__ = ["PluginContract", "SynthesizerContract", "TrainerContract", "VocoderContract"]
