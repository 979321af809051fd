"""The installed voice, with the packages of the extra `testing`."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

import allophone
from allophone.synthesis.voice import Voice
from allophone_testing import VoiceContract

SILENT = {"noise_scale": 0.0, "noise_scale_duration": 0.0}
PARITY = 2e-4


class TestVoice(VoiceContract):
    name = "joe"
    licence = "CC0-1.0 (recordings), MIT (package)"
    seconds = (0.2, 6.0)

    def test_the_sample_rate_is_22050_hz(self, voice: Voice) -> None:
        assert voice.sample_rate == 22050

    def test_amounts_are_normalized(self, voice: Voice) -> None:
        amount, words = (voice.say(f"It costs {it}.", seed=0) for it in ("$5", "five dollars"))
        assert np.array_equal(amount.samples, words.samples)

    @pytest.mark.skipif(
        find_spec("allophone_vits") is None or find_spec("onnx") is None,
        reason="needs allophone-vits[piper]",
    )
    def test_the_torch_engine_gives_the_same_audio(self, voice: Voice) -> None:
        same = allophone.load("joe", engine="torch")
        text = "Good morning to all of you."
        said, expected = (one.say(text, **SILENT).samples for one in (same, voice))
        assert said.shape == expected.shape
        np.testing.assert_allclose(said, expected, rtol=0, atol=PARITY)
