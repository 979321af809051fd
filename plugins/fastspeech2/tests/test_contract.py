"""Allophone's contract tests for plugins, models and trainers, run for FastSpeech 2."""

from __future__ import annotations

from allophone_testing import PluginContract, SynthesizerContract, TrainerContract

SMALL = (
    "model.hidden_channels=16",
    "model.encoder={layers = 1, feed_forward_channels = 16, kernel_sizes = [3, 3]}",
    "model.decoder={layers = 1, feed_forward_channels = 16}",
    "model.predictor={channels = 16}",
    "model.aligner={embedding_channels = 16, channels = 16}",
    "trainer.binarise_after=0",
    "trainer.warmup=5",
    "trainer.learning_rate=5e-3",
)
VARIANT = (
    "model.postnet={layers = 2, channels = 16}",
    "model.pitch={level = 'frame', scale = 'log', bins = 16}",
    "model.energy={level = 'frame', bins = 16}",
)
STORED = (
    "model.durations=stored",
    "features.phonemes={type = 'phones'}",
    "features.durations={}",
)


class TestPlugin(PluginContract):
    plugin = "fastspeech2"


class TestTraining(TrainerContract):
    recipe = "fastspeech2/tiny"
    overrides = SMALL


class TestTrainingManySpeakers(TrainerContract):
    recipe = "fastspeech2/tiny"
    overrides = (*SMALL, *VARIANT)
    speakers = 3


class TestSpeaking(SynthesizerContract):
    recipe = "fastspeech2/tiny"
    overrides = SMALL


class TestSpeakingManySpeakers(SynthesizerContract):
    recipe = "fastspeech2/tiny"
    overrides = (*SMALL, *VARIANT)
    speakers = 3


class TestTrainingWithStoredDurations(TrainerContract):
    recipe = "fastspeech2/tiny"
    overrides = (*SMALL, *STORED)
    labels = True


class TestSpeakingWithStoredDurations(SynthesizerContract):
    recipe = "fastspeech2/tiny"
    overrides = (*SMALL, *STORED)
    labels = True
