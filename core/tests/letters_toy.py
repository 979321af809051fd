"""A toy model that reads a real corpus: the mean loudness of a recording from its letters."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen
from torch import Tensor, nn

from allophone.config import Experiment
from allophone.data.batch import Batch
from allophone.data.vocabulary import Vocabulary
from allophone.entries import ModelEntry, TrainerEntry
from allophone.hookspecs import hookimpl
from allophone.registry import Registry, build_registry
from allophone.training.objective import OptimizerPlan
from allophone.training.optimizers import adamw


@frozen(kw_only=True)
class LettersConfig:
    """The model `letters`."""

    layers: int = 1
    channels: int = 4


@frozen(kw_only=True)
class LettersTrainerConfig:
    """The trainer `letters`."""

    learning_rate: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    segment_size: int = 64


class Letters(nn.Module):
    """Letters [B, T] to loudness [B]."""

    def __init__(self, config: LettersConfig, symbols: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, config.channels)
        self.layers = nn.Sequential(
            *(nn.Linear(config.channels, config.channels) for _ in range(config.layers))
        )

    def forward(self, letters: Tensor) -> Tensor:
        loudness: Tensor = self.layers(self.embedding(letters)).mean((1, 2))
        return loudness


class LettersObjective:
    """Fits the loudness of a segment."""

    features = ("waveform", "phonemes")

    def __init__(self, experiment: Experiment, vocabulary: Vocabulary) -> None:
        self.config: LettersTrainerConfig = experiment.trainer
        self.segment_samples = self.config.segment_size
        self.modules = {"model": Letters(experiment.model, vocabulary.symbols.size)}

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        config = self.config
        return {"model": adamw("model", learning_rate=config.learning_rate, betas=config.betas)}

    def _loss(self, rt: Any, batch: Batch) -> Tensor:
        segment = batch["waveform"].values[:, : self.segment_samples]
        error = rt["model"](batch["phonemes"].values) - segment.abs().mean(1)
        return error.square().mean()

    def train_step(self, rt: Any, batch: Batch) -> dict[str, Any]:
        loss = self._loss(rt, batch)
        rt.update("model", loss)
        return {"loss": loss}

    def eval_step(self, rt: Any, batch: Batch) -> dict[str, Any]:
        return {"loss": self._loss(rt, batch)}


def letters_registry() -> Registry:
    """Everything installed, and the toy."""
    plugin = types.ModuleType("letters_toy_plugin")
    plugin.CONTRACT = 1  # type: ignore[attr-defined]

    @hookimpl
    def allophone_models() -> Iterator[ModelEntry]:
        yield ModelEntry(
            name="letters", summary="-", config="letters_toy:LettersConfig", synthesizer="x:y"
        )

    @hookimpl
    def allophone_trainers() -> Iterator[TrainerEntry]:
        yield TrainerEntry(
            name="letters",
            summary="-",
            config="letters_toy:LettersTrainerConfig",
            objective="letters_toy:LettersObjective",
            trains="letters",
            inference_module="model",
        )

    plugin.allophone_models = allophone_models  # type: ignore[attr-defined]
    plugin.allophone_trainers = allophone_trainers  # type: ignore[attr-defined]
    return build_registry({"letters_toy_plugin": plugin})
