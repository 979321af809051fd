"""Training the autoregressive model: each code from those before it (Wang et al. 2023, section 4.2.1)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from allophone.config.experiment import Experiment
from allophone.data.batch import Batch
from allophone.data.vocabulary import Vocabulary
from allophone.events import SampleAudio, SampleImage
from allophone.training.objective import Metrics, OptimizerPlan, Runtime
from allophone_valle.ar import ArModel
from allophone_valle.config import ValleArTrainerConfig, ValleConfig, ValleControls
from allophone_valle.decoding import ArPrefix, continue_codes
from allophone_valle.sample_decoding import SampleDecoder
from allophone_valle.training import CodePredictions, codes_of, plan, score_predictions

_PREFIX_SECONDS = 1.0
"""Seconds of an utterance that a sample goes on from."""


class ValleArObjective:
    """One model, whose loss is the cross-entropy of the first codebook and of the end."""

    features = ("codes", "phonemes")

    def __init__(self, experiment: Experiment, vocabulary: Vocabulary) -> None:
        model, trainer = experiment.model, experiment.trainer
        assert isinstance(model, ValleConfig)
        assert isinstance(trainer, ValleArTrainerConfig)
        self.config = model
        self.trainer = trainer
        self.ar = ArModel(model.ar, vocabulary_size=vocabulary.symbols.size, bins=model.bins)
        self.modules: Mapping[str, nn.Module] = {"ar": self.ar}
        self.audio = experiment.audio
        self.sample_decoder = SampleDecoder(model, experiment.audio)

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        """AdamW."""
        return plan(self.trainer, "ar")

    def train_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """The mean over all codes, wherever they are trained on."""
        predicted = self._predict(rt, batch)
        rt.update("ar", rt.mean(predicted.cross_entropy, predicted.count))
        return predicted.metrics()

    def eval_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """How each code is predicted when those before it are the recording's."""
        return self._predict(rt, batch).metrics()

    def sample(self, rt: Runtime, batch: Batch) -> Mapping[str, SampleAudio | SampleImage]:
        """Each utterance gone on with after its beginning, in its first codebook alone, and the recording's."""
        codes, text = codes_of(batch, self.config), batch["phonemes"]
        lengths = codes.lengths.tolist()
        begun = round(_PREFIX_SECONDS * self.audio.sample_rate / self.audio.hop_length)
        prefixes = [
            ArPrefix(
                text=text.values[row, : text.lengths[row]],
                codes=codes.values[row, : min(begun, length // 2), 0],
                least=1,
                most=2 * length,
                seed=0,
            )
            for row, length in enumerate(lengths)
        ]
        continuations = continue_codes(self.ar, prefixes, ValleControls())
        samples: dict[str, SampleAudio | SampleImage] = {}
        for row, name in enumerate(batch.ids):
            said = torch.cat([prefixes[row].codes, continuations[row].codes])
            samples |= self.sample_decoder.samples(name, said.unsqueeze(1))
            recorded = codes.values[row, : lengths[row], :1]
            samples |= self.sample_decoder.samples(f"{name}/recorded", recorded)
        return samples

    def _predict(self, rt: Runtime, batch: Batch) -> CodePredictions:
        codes, text = codes_of(batch, self.config), batch["phonemes"]
        steps = self.ar.steps(codes.values[..., 0], codes.lengths)
        with rt.autocast():
            logits = rt["ar"](text.values, text.lengths, steps.inputs, steps.lengths)
        return score_predictions(logits, steps.targets)
