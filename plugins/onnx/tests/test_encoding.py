"""Which windows of a text are encoded."""

from __future__ import annotations

import numpy as np
import pytest

from allophone_onnx.encoding import WindowedEncoder


class Prior:
    """A graph whose outputs tell the positions of a window; `windows` are those it was asked for."""

    def __init__(self, durations):
        self.durations = durations
        self.windows = []

    def __call__(self, feed):
        start, end = feed["window"]
        self.windows.append((int(start), int(end)))
        positions = np.arange(start, end, dtype=np.float32).reshape(1, 1, -1)
        return positions, positions + 0.5, self.durations[None, start:end].astype(np.float32)


def encoded(durations, *, frames, length_scale=1.0):
    size = len(durations)
    prior = Prior(np.array(durations))
    encoder = WindowedEncoder(lambda _: [np.zeros((size, 4))], prior)
    feed = {"scales": np.array([0.667, length_scale, 0.8], dtype=np.float32)}
    found = list(encoder.encode(feed, frames=frames))
    whole = found[-1]
    assert [one.complete for one in found] == [False] * (len(found) - 1) + [True]
    np.testing.assert_array_equal(whole.mean[0, 0], np.arange(size))
    np.testing.assert_array_equal(whole.log_scale[0, 0], np.arange(size) + 0.5)
    assert whole.durations.tolist() == durations
    return found, prior.windows


def test_a_beginning_is_encoded_first():
    (beginning, _), windows = encoded([2] * 45, frames=12)
    assert windows == [(0, 9), (9, 45)]
    assert beginning.mean.shape == (1, 1, 9)
    assert beginning.frames == 18


@pytest.mark.parametrize(("length_scale", "ids"), [(1e-38, 12), (0.75, 12), (0.9, 10), (1.5, 9)])
def test_fast_speech_needs_more_ids_and_at_most_one_for_each_frame(length_scale, ids):
    _, windows = encoded([2] * 60, frames=12, length_scale=length_scale)
    assert windows == [(0, ids), (ids, 60)]


@pytest.mark.parametrize(("size", "frames"), [(44, 12), (1, 1), (45, None)])
def test_short_texts_and_those_of_which_all_is_needed_are_encoded_at_once(size, frames):
    found, windows = encoded([2] * size, frames=frames)
    assert len(found) == 1
    assert windows == [(0, size)]


def test_a_beginning_without_enough_frames_is_not_used():
    """Durations can be zero, if a logarithm is small enough."""
    found, windows = encoded([0] * 20 + [3] * 25, frames=12)
    assert len(found) == 1
    assert windows == [(0, 9), (0, 45)]
