"""The contract suite for DiffWave."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone_diffwave.config import DiffwaveConfig
from allophone_diffwave.network import Denoiser
from allophone_testing import PluginContract, TrainerContract, VocoderContract

SMALL = DiffwaveConfig(channels=8, layers=4, dilation_cycle=3)


class TestPlugin(PluginContract):
    plugin = "diffwave"


class TestTraining(TrainerContract):
    recipe = "diffwave/tiny"
    overrides = (
        "vocoder.channels=8",
        "vocoder.layers=4",
        "trainer.segment_frames=8",
        "trainer.learning_rate=4e-3",
    )


class TestVocoder(VocoderContract):
    """A denoiser with random weights."""

    vocoder = "diffwave"
    config = SMALL

    @classmethod
    def weights(cls) -> Mapping[str, Tensor]:
        torch.manual_seed(0)
        denoiser = Denoiser(cls.config, mels=cls.audio.n_mels)
        torch.nn.init.normal_(denoiser.output.weight, std=0.1)
        return denoiser.state_dict()


class TestVocoderOfOtherMels(TestVocoder):
    audio = MelSpec(sample_rate=24000, n_mels=100, hop_length=300, f_max=12000.0)
    config = DiffwaveConfig(channels=8, layers=2, upsample_rates=(5, 12, 5))
