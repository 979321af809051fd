"""The contract suite for HiFi-GAN."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone_hifigan.config import SIZES, HifiganConfig, IstftConfig
from allophone_hifigan.vocoder import build_generator
from allophone_testing import PluginContract, TrainerContract, VocoderContract

SMALL = (
    "vocoder.channels=32",
    "trainer.segment_size=4096",
    "trainer.learning_rate=2e-3",
)


SPECTRA = (
    "trainer.discriminators={periods = [], scales = 0, stft_sizes = [256], "
    "constant_q = [{bins_per_octave = 4, octaves = 3}], spectral_channels = 2}"
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
        SPECTRA,
    )


class TestTrainingIstft(TrainerContract):
    recipe = "hifigan/istft-tiny"
    overrides = (*SMALL, SPECTRA)


class TestTrainingMultiBandIstft(TrainerContract):
    recipe = "hifigan/istft-tiny"
    overrides = (*SMALL, SPECTRA, "vocoder.upsample_rates=[4, 4]", "vocoder.bands=4")


class GeneratorContract(VocoderContract):
    """A generator with random weights."""

    vocoder = "hifigan"
    config: HifiganConfig | IstftConfig

    @classmethod
    def weights(cls) -> Mapping[str, Tensor]:
        torch.manual_seed(0)
        return build_generator(cls.config, mels=cls.audio.n_mels).state_dict()


class TestVocoder(GeneratorContract):
    config = SIZES["v2"]


class TestSmallestVocoder(GeneratorContract):
    audio = MelSpec(sample_rate=24000, n_mels=100, f_max=12000.0)
    config = SIZES["v3"]


class TestIstftVocoder(GeneratorContract):
    vocoder = "hifigan.istft"
    config = IstftConfig(channels=32)


class TestMultiBandVocoder(GeneratorContract):
    vocoder = "hifigan.istft"
    config = IstftConfig(channels=32, upsample_rates=(4, 4), bands=4)


class TestMultiStreamVocoder(GeneratorContract):
    vocoder = "hifigan.istft"
    config = IstftConfig(channels=32, upsample_rates=(4, 4), bands=4, filters="learned")
