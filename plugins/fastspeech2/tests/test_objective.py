"""Rejected utterances, calibration, loss weights and the learning rate."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from allophone.audio.melspec import MelSpec
from allophone.config.experiment import Experiment
from allophone.data.batch import Batch, Padded
from allophone.data.vocabulary import Vocabulary
from allophone.errors import ConfigError
from allophone.text.symbols import SymbolTable
from allophone_fastspeech2.config import (
    DecoderConfig,
    EncoderConfig,
    FastSpeech2Config,
    FastSpeech2TrainerConfig,
)
from allophone_fastspeech2.objective import FastSpeech2Objective

AUDIO = MelSpec(n_fft=64, win_length=64, hop_length=16, n_mels=8, sample_rate=4000)
VOCABULARY = Vocabulary(symbols=SymbolTable.from_symbols("abc"))


def objective(durations: str = "learned", **trainer: Any) -> FastSpeech2Objective:
    model = FastSpeech2Config(
        hidden_channels=8,
        encoder=EncoderConfig(layers=1, feed_forward_channels=8),
        decoder=DecoderConfig(layers=1, feed_forward_channels=8),
        durations=durations,  # type: ignore[arg-type]
    )
    config = FastSpeech2TrainerConfig(**trainer)
    return FastSpeech2Objective(Experiment(model=model, trainer=config, audio=AUDIO), VOCABULARY)


def test_more_tokens_than_frames_are_rejected_if_durations_are_learned() -> None:
    samples = 16 * 20
    assert objective().reject({"waveform": samples, "phonemes": 20}) is None
    dropped = objective().reject({"waveform": samples, "phonemes": 21})
    assert dropped is not None
    assert dropped.detail == "21 tokens, 20 frames"
    stored = {"waveform": samples, "phonemes": 21, "durations": 21}
    assert objective("stored").reject(stored) is None


def test_mismatched_stored_durations_are_an_error() -> None:
    with pytest.raises(ConfigError, match="5 ids but 2 stored durations") as caught:
        objective("stored").reject({"waveform": 320, "phonemes": 5, "durations": 2})
    assert caught.value.hint is not None
    assert "text.blank" in caught.value.hint


def test_durations_are_a_feature_only_if_stored() -> None:
    assert "durations" in objective("stored").features
    assert "durations" not in objective().features


def test_calibration_ignores_unvoiced_frames_and_padding() -> None:
    f0 = torch.tensor([[100.0, 0.0, 120.0, 0.0], [140.0, 160.0, 0.0, 0.0]])
    energy = torch.tensor([[1.0, 2.0, 3.0, 0.0], [4.0, 5.0, 0.0, 0.0]])
    lengths = torch.tensor([3, 2])
    zeros = torch.zeros(2, dtype=torch.long)
    batch = Batch(
        ids=("a", "b"),
        features={
            "f0": Padded(values=f0, lengths=lengths),
            "energy": Padded(values=energy, lengths=lengths),
        },
        speakers=zeros,
        languages=zeros,
        audio_seconds=1.0,
    )
    trained = objective()
    trained.calibrate([batch])
    pitch, energy_statistics = (
        variance.statistics for _, variance in trained.model.variance_adaptor.variances()
    )
    assert float(pitch.mean) == pytest.approx(130)
    assert float(energy_statistics.mean) == pytest.approx(3)
    assert float(energy_statistics.deviation) == pytest.approx(2**0.5)
    assert "variance_adaptor.pitch.statistics.mean" in trained.model.state_dict()


def test_alignment_weights_follow_the_schedule() -> None:
    trained = objective(binarise_after=10, freeze_aligner_after=20, alignment_weight=2.0)
    weights = {step: trained.loss_weights(step) for step in (9, 10, 19, 20)}
    assert [weights[step]["alignment"] for step in (9, 10, 19, 20)] == [2, 2, 2, 0]
    assert [weights[step]["binarisation"] for step in (9, 10, 19, 20)] == [0, 1, 1, 0]


def test_learning_rate_schedule() -> None:
    plan = objective(warmup=4, anneal_steps=(16, 64), anneal_rate=0.5).optimizers()["model"]
    assert plan.schedule is not None
    rates = [plan.schedule(step) for step in (0, 3, 15, 16, 64)]
    assert rates == pytest.approx([1 / 4, 1, 1 / 2, (4 / 17) ** 0.5 / 2, (4 / 65) ** 0.5 / 4])
