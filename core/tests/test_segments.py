"""Training segments for vocoders."""

from __future__ import annotations

import pytest
import torch

from allophone.audio.melspec import MelSpec
from allophone.errors import ConfigError
from allophone.training.segments import Segmenter, middle_starts, random_starts, slice_segments


def test_starts_leave_room_for_a_segment() -> None:
    lengths = torch.tensor([3, 10, 4])
    drawn = torch.stack([random_starts(lengths, 4) for _ in range(200)])
    assert drawn.amin(0).tolist() == [0, 0, 0]
    assert drawn.amax(0).tolist() == [0, 6, 0]
    assert middle_starts(lengths, 4).tolist() == [0, 3, 0]


def test_positions_beyond_the_length_are_padded() -> None:
    values = torch.arange(1.0, 9.0).reshape(2, 1, 4)
    cut = slice_segments(values, torch.tensor([4, 2]), torch.tensor([1, 1]), 4, padding=-1.0)
    assert cut.tolist() == [[[2, 3, 4, -1]], [[6, -1, -1, -1]]]


def test_segments_must_have_their_frames() -> None:
    assert Segmenter(MelSpec(center=True), frames=32).samples == 32 * 256
    with pytest.raises(ConfigError, match="31 frames by .audio., not 32"):
        Segmenter(MelSpec(n_fft=1025), frames=32)
    with pytest.raises(ConfigError, match="A segment of 256 samples"):
        Segmenter(MelSpec(), frames=1)
