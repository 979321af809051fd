"""Training of the AR model (Wang et al. 2023, section 4.2.1)."""

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
from allophone_valle.training import CodePredictions, batch_codes, optimizer_plan, score_predictions

_PREFIX_SECONDS = 1.0
"""Length of the recorded prefix that a sample continues."""


class ValleArObjective:
    """Cross-entropy of the first codebook and the end symbol."""

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
        """AdamW with warmup."""
        return optimizer_plan(self.trainer, "ar")

    def train_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """Update on the mean cross-entropy over the codes of all ranks (equation 1)."""
        predicted = self._predict(rt, batch)
        rt.update("ar", rt.mean(predicted.cross_entropy, predicted.count))
        return predicted.metrics()

    def eval_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """Cross-entropy and accuracies with teacher forcing."""
        return self._predict(rt, batch).metrics()

    def sample(self, rt: Runtime, batch: Batch) -> Mapping[str, SampleAudio | SampleImage]:
        """First codebook of each utterance, generated from its first second, and as recorded."""
        codes, text = batch_codes(batch, self.config), batch["phonemes"]
        lengths = codes.lengths.tolist()
        prefix_frames = round(_PREFIX_SECONDS * self.audio.sample_rate / self.audio.hop_length)
        prefixes = [
            ArPrefix(
                text=text.values[row, : text.lengths[row]],
                codes=codes.values[row, : min(prefix_frames, length // 2), 0],
                min_length=1,
                max_length=2 * length,
                seed=0,
            )
            for row, length in enumerate(lengths)
        ]
        continuations = continue_codes(self.ar, prefixes, ValleControls())
        samples: dict[str, SampleAudio | SampleImage] = {}
        for row, name in enumerate(batch.ids):
            generated = torch.cat([prefixes[row].codes, continuations[row].codes])
            samples |= self.sample_decoder.samples(name, generated.unsqueeze(1))
            recorded = codes.values[row, : lengths[row], :1]
            samples |= self.sample_decoder.samples(f"{name}/recorded", recorded)
        return samples

    def _predict(self, rt: Runtime, batch: Batch) -> CodePredictions:
        codes, text = batch_codes(batch, self.config), batch["phonemes"]
        shifted = self.ar.shift_codes(codes.values[..., 0], codes.lengths)
        with rt.autocast():
            logits = rt["ar"](text.values, text.lengths, shifted.inputs, shifted.lengths)
        return score_predictions(logits, shifted.targets)
