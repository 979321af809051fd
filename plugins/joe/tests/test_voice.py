"""The voice speaks as any installed voice does, with what `testing` installs beside it."""

from __future__ import annotations

import numpy as np
import pytest

import allophone
from allophone.synthesis.voice import Voice


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return allophone.load("joe")


def test_it_speaks_at_22050_hz(voice):
    assert voice.sample_rate == 22050


def test_a_longer_text_takes_longer(voice):
    short, long = (voice.say(text, seed=0) for text in ("Good.", "Good morning to all of you."))
    assert 0.2 < short.seconds < long.seconds < 4
    assert 0.05 < np.abs(long.samples).max() <= 1


def test_amounts_are_said_in_words(voice):
    amount, words = (voice.say(f"It costs {it}.", seed=0) for it in ("$5", "five dollars"))
    assert np.array_equal(amount.samples, words.samples)
