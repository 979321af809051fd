"""The installed voice, with the packages of the extra `testing`: it says what joe says, nearly in the same time."""

from __future__ import annotations

import numpy as np

import allophone
from allophone.synthesis.voice import Voice
from allophone_testing import VoiceContract


class TestVoice(VoiceContract):
    name = "joe-fast"
    licence = "CC0-1.0 (recordings), MIT (package)"
    seconds = (0.2, 6.0)
    bytes = 20_000_000

    def test_it_speaks_as_joe_does(self, voice: Voice) -> None:
        """The same phonemes, each nearly as long and nearly as loud."""
        joe = allophone.load("joe")
        said, expected = (one.say(self.texts[1], seed=1) for one in (voice, joe))
        assert said.phonemes is not None
        assert expected.phonemes is not None
        symbols, durations = zip(
            *((one.symbol, one.end - one.start) for one in said.phonemes), strict=True
        )
        theirs, wanted = zip(
            *((one.symbol, one.end - one.start) for one in expected.phonemes), strict=True
        )
        assert symbols == theirs
        assert np.corrcoef(durations, wanted)[0, 1] > 0.9
        assert abs(said.seconds / expected.seconds - 1) < 0.1
