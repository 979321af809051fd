"""Allophone's contract tests for plugins, models and trainers, run for VITS2."""

from __future__ import annotations

from allophone_testing import PluginContract, SynthesizerContract, TrainerContract

SMALL = (
    "model.text_encoder={hidden_channels = 16, feed_forward_channels = 16, layers = 3}",
    "model.posterior_encoder={hidden_channels = 16, layers = 2}",
    "model.latent_channels=16",
    "model.decoder.channels=32",
    "trainer.segment_size=4096",
    "trainer.learning_rate=2e-3",
    "trainer.discriminator={periods = [2], scale_channels = [8, 8], period_channels = [4, 4]}",
    "trainer.duration_discriminator={channels = 16, start = 0}",
)
DURATIONS = "model.duration={{kind = '{}', channels = 16, stochastic_channels = 16, couplings = 2}}"


def flow(kind: str) -> str:
    return (
        "model.flow={hidden_channels = 16, couplings = 2, layers = 1, feed_forward_channels = 32, "
        f"kind = '{kind}'}}"
    )


class TestPlugin(PluginContract):
    plugin = "vits2"


class TestTraining(TrainerContract):
    recipe = "vits2/tiny"
    overrides = (*SMALL, flow("pre_conv2"))


class TestTrainingVocos(TrainerContract):
    recipe = "vits2/tiny"
    overrides = (
        *SMALL[:3],
        *SMALL[4:],
        flow("pre_conv2"),
        "model.decoder={type = 'vocos', channels = 16, feed_forward_channels = 32, blocks = 2}",
    )


class TestTrainingMultiBand(TrainerContract):
    recipe = "vits2/tiny"
    overrides = (
        *SMALL[:3],
        *SMALL[4:],
        flow("pre_conv2"),
        "model.decoder={type = 'mb-istft', channels = 16, residual_block = '2', residual_kernel_sizes = [3], "
        "residual_dilations = [[1]]}",
    )


class TestTrainingManySpeakers(TrainerContract):
    recipe = "vits2/tiny"
    overrides = (*SMALL, flow("pre_conv2"), DURATIONS.format("mixed"))
    speakers = 3


class TestSpeaking(SynthesizerContract):
    recipe = "vits2/tiny"
    inert_controls = ("stochastic_share",)  # Used by mixed durations only.
    overrides = (*SMALL, flow("pre_conv2"))


class TestSpeakingManySpeakers(SynthesizerContract):
    recipe = "vits2/tiny"
    exports = False  # Covered by test_export.py.
    overrides = (*SMALL, flow("pre_conv2"), DURATIONS.format("mixed"))
    speakers = 3


class TestTrainingPreConv(TrainerContract):
    recipe = "vits2/tiny"
    overrides = (*SMALL, flow("pre_conv"), DURATIONS.format("stochastic"))


class TestTrainingFft(TrainerContract):
    recipe = "vits2/tiny"
    overrides = (*SMALL, flow("fft"), "trainer.duration_discriminator.kind='linear'")
    speakers = 3


class TestTrainingInterResidual(TrainerContract):
    recipe = "vits2/tiny"
    overrides = (
        *SMALL,
        flow("mono_layer_inter_residual"),
        "trainer.duration_discriminator.speaker=true",
    )
    speakers = 3


class TestTrainingPostResidual(TrainerContract):
    recipe = "vits2/tiny"
    overrides = (
        *SMALL,
        flow("mono_layer_post_residual"),
        "model.posterior_encoder.reads='linear'",
        "trainer.duration_discriminator.kind='none'",
    )


class TestTrainingBeforeTheDurationDiscriminatorStarts(TrainerContract):
    """Ranks, resuming and alignment noise with a third optimizer that starts at step 1."""

    recipe = "vits2/tiny"
    overrides = (
        *SMALL,
        flow("wavenet"),
        "model.duration.noise_channels=0",
        "trainer.duration_discriminator={channels = 16, start = 1}",
        "trainer.alignment_noise={initial = 0.01, decrease = 0.01}",
    )
    # The duration discriminator gets no gradients before it starts.
    test_gradients_reach_every_parameter = None  # type: ignore[assignment]


class TestSpeakingPreConv(SynthesizerContract):
    recipe = "vits2/tiny"
    inert_controls = ("stochastic_share",)  # Used by mixed durations only.
    exports = False  # Covered by test_export.py.
    overrides = (*SMALL, flow("pre_conv"), DURATIONS.format("stochastic"))


class TestSpeakingFft(SynthesizerContract):
    recipe = "vits2/tiny"
    inert_controls = ("stochastic_share",)  # Used by mixed durations only.
    exports = False  # Covered by test_export.py.
    overrides = (*SMALL, flow("fft"))
    speakers = 3


class TestSpeakingInterResidual(SynthesizerContract):
    recipe = "vits2/tiny"
    inert_controls = ("stochastic_share",)  # Used by mixed durations only.
    exports = False  # Covered by test_export.py.
    overrides = (*SMALL, flow("mono_layer_inter_residual"))
    speakers = 3


class TestSpeakingPostResidual(SynthesizerContract):
    recipe = "vits2/tiny"
    inert_controls = ("stochastic_share",)  # Used by mixed durations only.
    exports = False  # Covered by test_export.py.
    overrides = (
        *SMALL,
        flow("mono_layer_post_residual"),
        "model.posterior_encoder.reads='linear'",
    )


class TestSpeakingWavenet(SynthesizerContract):
    recipe = "vits2/tiny"
    inert_controls = ("stochastic_share",)  # Used by mixed durations only.
    exports = False  # Covered by test_export.py.
    overrides = (*SMALL, flow("wavenet"))
