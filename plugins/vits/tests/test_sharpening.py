"""A sharpened student has more contrast above 2 kHz and its teacher's levels; its runs are as they were."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve
from letters_voice import LINES, voice

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.inference.folder import StoredVoice, write_voice
from allophone.processes.progress import untracked
from allophone.registry import default_registry
from allophone.synthesis.requests import Request
from allophone_vits.distillation.distilling import distill
from allophone_vits.distillation.sharpening import (
    _mean_power,
    _readable,
    contrast_matrix,
    sharpened,
)
from allophone_vits.model import Vits
from allophone_vocos.config import VocosConfig

REQUESTS = [Request(id=str(number), text=line) for number, line in enumerate(LINES)]
SPACING = 22050 / 1024


def student() -> StoredVoice:
    """The letters' voice with an untrained Vocos decoder."""
    teacher = voice()
    config = evolve(
        teacher.description.model,
        decoder=VocosConfig(channels=16, feed_forward_channels=32, blocks=1),
    )
    torch.manual_seed(1)
    decoder = Vits(
        config, vocabulary_size=teacher.vocabulary.symbols.size, speakers=0, audio=MelSpec()
    ).decoder.state_dict()
    kept = {
        name: weight for name, weight in teacher.weights.items() if not name.startswith("decoder.")
    }
    return evolve(
        teacher,
        description=evolve(teacher.description, model=config),
        weights=kept | {f"decoder.{name}": weight for name, weight in decoder.items()},
    )


def test_contrast_grows_above_and_not_below():
    harmonics = torch.cos(2 * torch.pi * torch.arange(513).double() / 5)
    changed = contrast_matrix(513, spacing=SPACING, amount=0.5) @ harmonics
    below, above = int(1300 / SPACING), int(2600 / SPACING) + 1
    assert torch.equal(changed[:below], harmonics[:below])
    gain = (changed[above:-10] @ harmonics[above:-10]) / harmonics[above:-10].square().sum()
    assert 1.45 < gain < 1.55


def test_a_flat_spectrum_stays_flat():
    flat = torch.full((513,), 3.0, dtype=torch.float64)
    matrix = contrast_matrix(513, spacing=SPACING, amount=0.5)
    torch.testing.assert_close(matrix @ flat, flat, rtol=0, atol=1e-12)


def test_levels_become_the_teachers():
    registry, teacher, given = default_registry(), voice(), student()
    result = sharpened(given, teacher, REQUESTS, amount=0.5, registry=registry)
    changed = {name for name, w in result.weights.items() if not w.equal(given.weights[name])}
    assert changed == {"decoder.output.weight", "decoder.output.bias"}
    phases = slice(513, None)
    for name in changed:
        assert torch.equal(result.weights[name][phases], given.weights[name][phases])
    texts = _readable(given, REQUESTS, registry)
    expected, before, after = (
        _mean_power(one, texts, 1024, registry)[8:-8].unfold(0, 33, 33).mean(1).log()
        for one in (teacher, given, result)
    )
    # An untrained teacher has a line of a few bins, whose level is not met: gains are smoothed over frequencies.
    assert (before - expected).abs().median() > 1
    assert (after - expected).abs().median() < 0.1


def test_texts_that_cannot_be_read_are_passed_over():
    registry = default_registry()
    texts = _readable(voice(), [Request(id="x", text="123 ¡"), *REQUESTS[:2]], registry)
    assert [text.seeds for text in texts] == [(1,), (2,)]


def test_other_decoders_are_refused_before_the_teacher_speaks(tmp_path):
    write_voice(tmp_path / "letters", voice())
    with pytest.raises(UserError, match=r"cannot be sharpened.*\n.*leave out --sharpen"):
        distill(
            tmp_path / "letters",
            tmp_path / "student",
            decoder="hifigan",
            texts=None,
            count=None,
            folder=tmp_path / "training",
            overrides=[],
            registry=default_registry(),
            track=untracked,
            sharpen=0.5,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["letters"]


def test_other_decoders_cannot_be_sharpened():
    with pytest.raises(UserError, match=r"cannot be sharpened.*\n.*leave out --sharpen"):
        sharpened(voice(), voice(), REQUESTS, amount=0.5, registry=default_registry())
