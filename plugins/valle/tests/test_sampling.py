"""Sampling of codes."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from allophone_valle.config import ValleControls
from allophone_valle.sampling import GumbelNoise, sample_codes, top_k_top_p_mask

END = 7
PLAIN = ValleControls(temperature=1.0, top_k=None, top_p=1.0, repetition_threshold=None)
NO_PAST = torch.full((1, 10), -1)


def sample(logits: Tensor, controls: ValleControls, *, rows: int, past: Tensor = NO_PAST) -> Tensor:
    """Sample from the same logits in many rows with independent noise."""
    noise = GumbelNoise([0], group=1, entries=len(logits)).block(rows)[0, :, 0]
    return sample_codes(logits.expand(rows, -1), noise, past.expand(rows, -1), controls, end=END)


def test_samples_follow_the_softmax() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, 1.5, 0.5, -3.0, -2.0])
    for temperature in (0.5, 1.0, 2.0):
        codes = sample(logits, evolve(PLAIN, temperature=temperature), rows=20_000)
        shares = codes.bincount(minlength=8) / len(codes)
        assert (shares - (logits / temperature).softmax(0)).abs().max() < 0.012


def test_zero_temperature_is_greedy() -> None:
    logits = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.5, 0.0])
    for top_p in (1.0, 0.5):
        controls = evolve(PLAIN, temperature=0.0, top_p=top_p)
        assert set(sample(logits, controls, rows=50).tolist()) == {5}


@settings(deadline=None, max_examples=60)
@given(
    logits=st.lists(st.integers(-40, 40), min_size=2, max_size=12, unique=True),
    top_k=st.none() | st.integers(1, 12),
    top_p=st.floats(0.05, 1.0),
    temperature=st.floats(0.2, 3.0),
)
def test_top_k_and_top_p_allow_the_expected_codes(
    logits: list[int], top_k: int | None, top_p: float, temperature: float
) -> None:
    scaled = torch.tensor([logits], dtype=torch.float32) / 10
    controls = ValleControls(top_k=top_k, top_p=top_p, temperature=temperature)
    ranked = sorted(range(len(logits)), key=lambda index: -logits[index])[:top_k]
    shares = (scaled[0, ranked] / temperature).softmax(0).tolist()
    expected, sum_ = set[int](), 0.0
    for index, share in zip(ranked, shares, strict=True):
        if abs(sum_ - top_p) < 1e-5:
            return  # Whether the next code is allowed depends on rounding.
        if sum_ < top_p:
            expected.add(index)
        sum_ += share
    assert set(top_k_top_p_mask(scaled, controls)[0].nonzero().flatten().tolist()) == expected


def test_an_unreachable_repetition_threshold_has_no_effect() -> None:
    torch.manual_seed(0)
    logits, past = torch.randn(200, 64), torch.randint(0, 4, (200, 10))
    noise = GumbelNoise(range(200), group=1, entries=64).block(1)[:, 0, 0]
    nucleus = ValleControls(top_p=0.6, repetition_threshold=None)
    aware = evolve(nucleus, repetition_threshold=1.0)
    assert torch.equal(
        sample_codes(logits, noise, past, nucleus, end=63),
        sample_codes(logits, noise, past, aware, end=63),
    )


def test_repeated_codes_are_resampled_from_all_codes() -> None:
    logits = torch.tensor([3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -9.0])
    past = torch.tensor([[0, 0, 1, 2, 3, 4, 5, 6, 1, 2]])
    nucleus = ValleControls(top_p=0.5, repetition_threshold=None)
    assert set(sample(logits, nucleus, rows=500, past=past).tolist()) == {0}
    aware = sample(logits, evolve(nucleus, repetition_threshold=0.1), rows=20_000, past=past)
    shares = aware.bincount(minlength=8) / len(aware)
    assert (shares - logits.softmax(0)).abs().max() < 0.012
    # A share equal to the threshold does not exceed it.
    equal = evolve(nucleus, repetition_threshold=0.2)
    assert set(sample(logits, equal, rows=500, past=past).tolist()) == {0}


def test_the_end_is_taken_when_it_is_the_most_likely_code() -> None:
    logits = torch.zeros(8).index_fill(0, torch.tensor([END]), 0.5)
    assert set(sample(logits, PLAIN, rows=50).tolist()) == {END}


def test_noise_depends_on_the_seed_and_continues_across_blocks() -> None:
    both = GumbelNoise([3, 4], group=2, entries=5)
    first, second = both.block(6), both.block(6)
    alone = GumbelNoise([4], group=2, entries=5)
    assert torch.equal(alone.block(6)[0], first[1])
    assert torch.equal(alone.block(6)[0], second[1])
    assert not torch.equal(first[0], first[1])
    assert first.isfinite().all()


@pytest.mark.parametrize("controls", [{"top_p": 0.0}, {"temperature": -1.0}, {"top_k": 0}])
def test_invalid_controls_are_rejected(controls: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(controls))):
        ValleControls(**controls)
