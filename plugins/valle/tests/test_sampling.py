"""Which codes are drawn, and how often."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from allophone_valle.config import ValleControls
from allophone_valle.sampling import Noise, draw, likeliest

END = 7
PLAIN = ValleControls(temperature=1.0, top_k=None, top_p=1.0, repetition_threshold=None)
NO_PAST = torch.full((1, 10), -1)


def drawn(logits: Tensor, controls: ValleControls, *, rows: int, past: Tensor = NO_PAST) -> Tensor:
    """Codes that are drawn from the same logits in many rows, one seed each."""
    noise = Noise([0], group=1, entries=len(logits)).block(rows)[0, :, 0]
    return draw(logits.expand(rows, -1), noise, past.expand(rows, -1), controls, end=END)


def test_codes_are_drawn_as_often_as_their_probability_says() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, 1.5, 0.5, -3.0, -2.0])
    for temperature in (0.5, 1.0, 2.0):
        codes = drawn(logits, evolve(PLAIN, temperature=temperature), rows=20_000)
        shares = codes.bincount(minlength=8) / len(codes)
        assert (shares - (logits / temperature).softmax(0)).abs().max() < 0.012


def test_without_temperature_the_likeliest_is_taken() -> None:
    logits = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.5, 0.0])
    for top_p in (1.0, 0.5):
        controls = evolve(PLAIN, temperature=0.0, top_p=top_p)
        assert set(drawn(logits, controls, rows=50).tolist()) == {5}


@settings(deadline=None, max_examples=60)
@given(
    logits=st.lists(st.integers(-40, 40), min_size=2, max_size=12, unique=True),
    top_k=st.none() | st.integers(1, 12),
    top_p=st.floats(0.05, 1.0),
    temperature=st.floats(0.2, 3.0),
)
def test_the_likeliest_are_those_that_make_up_the_share(
    logits: list[int], top_k: int | None, top_p: float, temperature: float
) -> None:
    scaled = torch.tensor([logits], dtype=torch.float32) / 10
    controls = ValleControls(top_k=top_k, top_p=top_p, temperature=temperature)
    falling = sorted(range(len(logits)), key=lambda index: -logits[index])[:top_k]
    shares = (scaled[0, falling] / temperature).softmax(0).tolist()
    wanted, sum_ = set[int](), 0.0
    for index, share in zip(falling, shares, strict=True):
        if abs(sum_ - top_p) < 1e-5:
            return  # It is up to rounding whether the next one is in.
        if sum_ < top_p:
            wanted.add(index)
        sum_ += share
    assert set(likeliest(scaled, controls)[0].nonzero().flatten().tolist()) == wanted


def test_a_threshold_that_is_never_reached_changes_nothing() -> None:
    torch.manual_seed(0)
    logits, past = torch.randn(200, 64), torch.randint(0, 4, (200, 10))
    noise = Noise(range(200), group=1, entries=64).block(1)[:, 0, 0]
    nucleus = ValleControls(top_p=0.6, repetition_threshold=None)
    aware = evolve(nucleus, repetition_threshold=1.0)
    assert torch.equal(
        draw(logits, noise, past, nucleus, end=63), draw(logits, noise, past, aware, end=63)
    )


def test_what_is_repeated_is_drawn_again_out_of_all() -> None:
    logits = torch.tensor([3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -9.0])
    past = torch.tensor([[0, 0, 1, 2, 3, 4, 5, 6, 1, 2]])
    nucleus = ValleControls(top_p=0.5, repetition_threshold=None)
    assert set(drawn(logits, nucleus, rows=500, past=past).tolist()) == {0}
    aware = drawn(logits, evolve(nucleus, repetition_threshold=0.1), rows=20_000, past=past)
    shares = aware.bincount(minlength=8) / len(aware)
    assert (shares - logits.softmax(0)).abs().max() < 0.012
    # As much as the share is not more than the share.
    same = evolve(nucleus, repetition_threshold=0.2)
    assert set(drawn(logits, same, rows=500, past=past).tolist()) == {0}


def test_the_end_is_taken_where_it_is_the_likeliest() -> None:
    logits = torch.zeros(8).index_fill(0, torch.tensor([END]), 0.5)
    assert set(drawn(logits, PLAIN, rows=50).tolist()) == {END}


def test_noise_is_of_a_row_and_goes_on() -> None:
    both = Noise([3, 4], group=2, entries=5)
    first, second = both.block(6), both.block(6)
    alone = Noise([4], group=2, entries=5)
    assert torch.equal(alone.block(6)[0], first[1])
    assert torch.equal(alone.block(6)[0], second[1])
    assert not torch.equal(first[0], first[1])
    assert first.isfinite().all()


@pytest.mark.parametrize("controls", [{"top_p": 0.0}, {"temperature": -1.0}, {"top_k": 0}])
def test_impossible_controls_are_refused(controls: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(controls))):
        ValleControls(**controls)
