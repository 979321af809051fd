"""Allophone's contract tests for trainers, run for codec training."""

from __future__ import annotations

from allophone_testing import TrainerContract

SMALL = (
    "vocoder.filters=4",
    "vocoder.dimension=16",
    "vocoder.codebooks=3",
    "vocoder.bins=16",
    "trainer.segment_size=3200",
    "trainer.mel_sizes=[512, 128]",
    "trainer.learning_rate=3e-3",
)


class TestTraining(TrainerContract):
    recipe = "valle/codec-tiny"
    overrides = SMALL


class TestAdversarialTraining(TrainerContract):
    recipe = "valle/codec-tiny"
    overrides = (*SMALL, "trainer.stft_sizes=[128, 64]", "trainer.stft_channels=4")
