"""Which windows of a text are encoded."""

from __future__ import annotations

import numpy as np
import pytest

from allophone_onnx.encoding import WindowedEncoder

MARGIN = 3


class Prior:
    """A graph whose outputs tell the positions of a window; `windows` are those it was asked for."""

    def __init__(self, durations):
        self.durations = durations
        self.windows = []

    def __call__(self, feed):
        start, end = feed["window"]
        self.windows.append((int(start), int(end)))
        assert feed["duration_noise"].shape == (1, 2, end - start)
        positions = np.arange(start, end, dtype=np.float32).reshape(1, 1, -1)
        return positions, positions + 0.5, self.durations[None, start:end].astype(np.float32)


def encoded(durations, *, frames):
    size = len(durations)
    prior = Prior(np.array(durations))
    encoder = WindowedEncoder(lambda _: [np.zeros((size, 4))], prior, margin=MARGIN)
    found = list(encoder.encode({"duration_noise": np.zeros((1, 2, size))}, frames=frames))
    whole = found[-1]
    assert [one.complete for one in found] == [False] * (len(found) - 1) + [True]
    np.testing.assert_array_equal(whole.mean[0, 0], np.arange(size))
    np.testing.assert_array_equal(whole.log_scale[0, 0], np.arange(size) + 0.5)
    assert whole.durations.tolist() == durations
    return found, prior.windows


def test_a_beginning_is_encoded_first():
    (beginning, _), windows = encoded([2] * 40, frames=10)
    assert windows == [(0, 13), (4, 40)], "the second begins with a tile"
    assert beginning.mean.shape == (1, 1, 10)
    assert beginning.frames == 20


@pytest.mark.parametrize(("size", "frames"), [(25, 10), (1, 1), (40, None)])
def test_short_texts_and_those_of_which_all_is_needed_are_encoded_at_once(size, frames):
    found, windows = encoded([2] * size, frames=frames)
    assert len(found) == 1
    assert windows == [(0, size)]


def test_a_beginning_without_enough_frames_is_not_used():
    """Durations can be zero, if a logarithm is small enough."""
    found, windows = encoded([0] * 20 + [3] * 20, frames=10)
    assert len(found) == 1
    assert windows == [(0, 13), (0, 40)]
