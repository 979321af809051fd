"""Allophone's contract tests for plugins, models and trainers, run for VITS."""

from __future__ import annotations

from allophone_testing import PluginContract, SynthesizerContract, TrainerContract

OTHERS = (
    "model.text_encoder={hidden_channels = 16, feed_forward_channels = 16, layers = 1}",
    "model.posterior_encoder={hidden_channels = 16, layers = 2}",
    "model.flow={hidden_channels = 16, couplings = 2, layers = 1}",
    "model.latent_channels=16",
    "trainer.segment_size=4096",
    "trainer.learning_rate=2e-3",
    "trainer.discriminator={periods = [2], scale_channels = [8, 8], period_channels = [4, 4]}",
)
SMALL = (*OTHERS, "model.decoder.channels=32")
VOCOS = "model.decoder={type = 'vocos', channels = 16, feed_forward_channels = 32, blocks = 2}"
ISTFT = (
    "model.decoder={type = 'istft', channels = 16, residual_block = '2', residual_kernel_sizes = [3], "
    "residual_dilations = [[1]]}"
)
MULTI_BAND = ISTFT.replace("'istft'", "'mb-istft'")
STOCHASTIC = "model.duration={kind = 'stochastic', channels = 16, couplings = 2}"


class TestPlugin(PluginContract):
    plugin = "vits"


class TestTraining(TrainerContract):
    recipe = "vits/tiny"
    overrides = SMALL


class TestTrainingManySpeakers(TrainerContract):
    recipe = "vits/tiny"
    overrides = (*SMALL, STOCHASTIC)
    speakers = 3


class TestTrainingVocos(TrainerContract):
    recipe = "vits/tiny"
    overrides = (*OTHERS, VOCOS)


class TestTrainingVocosManySpeakers(TrainerContract):
    recipe = "vits/tiny"
    overrides = (*OTHERS, VOCOS)
    speakers = 3


class TestTrainingIstft(TrainerContract):
    recipe = "vits/tiny"
    overrides = (*OTHERS, ISTFT)


class TestTrainingMultiBandManySpeakers(TrainerContract):
    recipe = "vits/tiny"
    overrides = (*OTHERS, MULTI_BAND)
    speakers = 3


class TestSpeakingIstftManySpeakers(SynthesizerContract):
    recipe = "vits/tiny"
    exports = False  # Covered by test_export.py.
    overrides = (*OTHERS, ISTFT)
    speakers = 3


class TestSpeakingMultiBand(SynthesizerContract):
    recipe = "vits/tiny"
    exports = False  # Covered by test_export.py.
    overrides = (*OTHERS, MULTI_BAND)


class TestSpeakingMultiStream(SynthesizerContract):
    recipe = "vits/tiny"
    exports = False  # Covered by test_export.py.
    overrides = (*OTHERS, MULTI_BAND[:-1] + ", filters = 'learned'}")


class TestSpeakingVocosManySpeakers(SynthesizerContract):
    recipe = "vits/tiny"
    exports = False  # Covered by test_export.py.
    overrides = (*OTHERS, VOCOS)
    speakers = 3


class TestSpeakingVocos(SynthesizerContract):
    recipe = "vits/tiny"
    exports = False  # Covered by test_export.py.
    overrides = (*OTHERS, VOCOS)


class TestSpeaking(SynthesizerContract):
    recipe = "vits/tiny"
    overrides = SMALL


class TestSpeakingManySpeakers(SynthesizerContract):
    recipe = "vits/tiny"
    exports = False  # Covered by test_export.py.
    overrides = (*SMALL, STOCHASTIC)
    speakers = 3
