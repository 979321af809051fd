"""The installed voice, with the packages of the extra `testing`."""

from __future__ import annotations

import numpy as np

from allophone.synthesis.voice import Voice
from allophone_testing import VoiceContract


class TestVoice(VoiceContract):
    name = "asterisk"
    licence = "CC-BY-SA-3.0"
    seconds = (0.2, 6.0)
    bytes = 20_000_000

    def test_its_pitch_is_a_womans(self, voice: Voice) -> None:
        """It began as that of a man."""
        samples = voice.say(self.texts[1], seed=0).samples
        frames = np.lib.stride_tricks.sliding_window_view(samples, 1024)[::256]
        frames = frames[np.square(frames).mean(1) > 0.1 * np.square(frames).mean()]
        spectra = np.abs(np.fft.rfft(frames * np.hanning(1024), 4096)) ** 2
        correlation = np.fft.irfft(spectra)[:, : 22050 // 60]
        lags = np.arange(22050 // 400, 22050 // 60)
        pitch = np.median(22050 / lags[correlation[:, lags].argmax(1)])
        assert 150 < pitch < 300
