"""Allophone's contract tests for plugins, models and trainers, run for VALL-E."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from allophone.config import Experiment
from allophone.data.vocabulary import Vocabulary
from allophone.registry import Registry
from allophone.weights.files import add_prefix
from allophone_testing import PluginContract, SynthesizerContract, TrainerContract
from allophone_valle.ar import ArModel
from allophone_valle.nar import NarModel

SMALL = (
    "model.codec={place = 'fake', fake = {codebooks = 4, bins = 32}}",
    "model.codebooks=4",
    "model.bins=32",
    "model.ar={channels = 16, layers = 2, heads = 2, feed_forward_channels = 32}",
    "model.nar={channels = 16, layers = 2, heads = 2, feed_forward_channels = 32}",
)
LEARNING = ("trainer.learning_rate=1e-2", "trainer.warmup=5")


class TestPlugin(PluginContract):
    plugin = "valle"


class TestAr(TrainerContract):
    recipe, stage = "valle/tiny", "ar"
    overrides = (*SMALL, *LEARNING)


class TestArInGroups(TrainerContract):
    recipe, stage = "valle/tiny", "ar"
    overrides = (*SMALL, *LEARNING, "model.ar.group_size=2", "model.ar.begin_symbol=false")


class TestNar(TrainerContract):
    recipe, stage = "valle/tiny", "nar"
    overrides = (*SMALL, *LEARNING)


class TestNarWithNeighbours(TrainerContract):
    recipe, stage = "valle/tiny", "nar"
    overrides = (*SMALL, *LEARNING, "model.nar.prompt=neighbour")
    speakers = 3


class TestSpeaking(SynthesizerContract):
    recipe, stage = "valle/tiny", "ar"
    overrides = (*SMALL, "model.nar.prompt=none")
    gpu_within = None  # It decodes in bf16 on a GPU, so other codes are drawn.

    @classmethod
    def weights(
        cls, experiment: Experiment, vocabulary: Vocabulary, registry: Registry
    ) -> Mapping[str, Tensor]:
        model, symbols = experiment.model, vocabulary.symbols.size
        ar = ArModel(model.ar, vocabulary_size=symbols, bins=model.bins)
        nar = NarModel(
            model.nar, vocabulary_size=symbols, codebooks=model.codebooks, bins=model.bins
        )
        return add_prefix(ar.state_dict(), "ar") | add_prefix(nar.state_dict(), "nar")
