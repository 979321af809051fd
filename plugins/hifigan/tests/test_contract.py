"""The contract suite for HiFi-GAN."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone_hifigan.config import SIZES, HifiganConfig
from allophone_hifigan.generator import Generator
from allophone_testing import PluginContract, TrainerContract, VocoderContract

SMALL = (
    "vocoder.channels=32",
    "trainer.segment_size=4096",
    "trainer.learning_rate=2e-3",
)


class TestPlugin(PluginContract):
    plugin = "hifigan"


class TestTraining(TrainerContract):
    recipe = "hifigan/tiny"
    overrides = (
        *SMALL,
        "trainer.discriminators={periods = [2], period_channels = [4, 4], scales = 2, "
        "scale_channels = [16, 16, 16, 16, 16, 16, 16]}",
    )


class TestTrainingWithSpectra(TrainerContract):
    recipe = "hifigan/tiny"
    overrides = (
        *SMALL,
        "trainer.discriminators={periods = [], scales = 0, stft_sizes = [256], "
        "constant_q = [{bins_per_octave = 4, octaves = 3}], spectral_channels = 2}",
    )


class GeneratorContract(VocoderContract):
    """A generator with random weights."""

    vocoder = "hifigan"
    config: HifiganConfig

    @classmethod
    def weights(cls) -> Mapping[str, Tensor]:
        torch.manual_seed(0)
        return Generator(cls.config, mels=cls.audio.n_mels).state_dict()


class TestVocoder(GeneratorContract):
    config = SIZES["v2"]


class TestSmallestVocoder(GeneratorContract):
    audio = MelSpec(sample_rate=24000, n_mels=100, f_max=12000.0)
    config = SIZES["v3"]
