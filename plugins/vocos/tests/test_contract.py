"""The contract suite for Vocos."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from allophone_testing import PluginContract, TrainerContract, VocoderContract
from allophone_vocos.config import VocosConfig
from allophone_vocos.network import Vocos

SMALL = (
    "vocoder={type = 'vocos', channels = 16, feed_forward_channels = 32, blocks = 2}",
    "trainer.segment_size=4096",
    "trainer.learning_rate=2e-3",
    "trainer.discriminators={periods = [2], period_channels = [4, 4], stft_sizes = [256], spectral_channels = 2}",
)


class TestPlugin(PluginContract):
    plugin = "vocos"


class TestTraining(TrainerContract):
    recipe = "vocos/tiny"
    overrides = (*SMALL, "trainer.adversarial_from=0")


class TestVocoder(VocoderContract):
    vocoder = "vocos"
    config = VocosConfig(channels=16, feed_forward_channels=32, blocks=2)

    @classmethod
    def weights(cls) -> Mapping[str, Tensor]:
        torch.manual_seed(0)
        network = Vocos(cls.config, in_channels=cls.audio.n_mels, hop_length=cls.audio.hop_length)
        return network.state_dict()
