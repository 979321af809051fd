"""Training of the NAR model (Wang et al. 2023, section 4.2.2).

Legend: B batch, F frames of codes, Q codebooks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from allophone.config.experiment import Experiment
from allophone.data.batch import Batch
from allophone.data.vocabulary import Vocabulary
from allophone.events import SampleAudio, SampleImage
from allophone.training.objective import Adapted, Metrics, OptimizerPlan, Runtime
from allophone_valle.ar import IGNORE_INDEX
from allophone_valle.config import ValleConfig, ValleNarTrainerConfig
from allophone_valle.nar import NarModel
from allophone_valle.nar_decoding import NarInput, predict_codebooks
from allophone_valle.prompts import PromptDraws, PromptedExample, add_prompts
from allophone_valle.sample_decoding import SampleDecoder
from allophone_valle.training import CodePredictions, batch_codes, optimizer_plan, score_predictions


class ValleNarObjective:
    """Cross-entropy of one codebook per utterance, chosen at random in each step."""

    features = ("codes", "phonemes")

    def __init__(self, experiment: Experiment, vocabulary: Vocabulary) -> None:
        model, trainer = experiment.model, experiment.trainer
        assert isinstance(model, ValleConfig)
        assert isinstance(trainer, ValleNarTrainerConfig)
        self.config = model
        self.trainer = trainer
        audio = experiment.audio
        self.max_prompt_frames = max(
            1, round(trainer.prompt_seconds * audio.sample_rate / audio.hop_length)
        )
        self.nar = NarModel(
            model.nar,
            vocabulary_size=vocabulary.symbols.size,
            codebooks=model.codebooks,
            bins=model.bins,
        )
        self.modules: Mapping[str, nn.Module] = {"nar": self.nar}
        self.sample_decoder = SampleDecoder(model, audio)

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        """AdamW with warmup."""
        return optimizer_plan(self.trainer, "nar")

    def train_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """Update on the mean cross-entropy over the codes of all ranks (equation 2).

        Each utterance has its own random stage and prompt.
        """
        stages = torch.randint(1, self.config.codebooks, (len(batch),)).to(rt.device)
        predicted = self._predict(
            rt, batch, self._prompted(batch, PromptDraws.random(len(batch))), stages
        )
        rt.update("nar", rt.mean(predicted.cross_entropy, predicted.count))
        return predicted.metrics()

    def eval_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """Mean over all stages with fixed prompts, and the accuracy of each stage."""
        example = self._prompted(batch, PromptDraws.fixed(len(batch)))
        metrics: dict[str, Tensor] = {}
        for stage in range(1, self.config.codebooks):
            stages = torch.full((len(batch),), stage, device=rt.device)
            stage_metrics = self._predict(rt, batch, example, stages).metrics()
            for name, value in stage_metrics.items():
                share = value / (self.config.codebooks - 1)
                metrics[name] = metrics[name] + share if name in metrics else share
            metrics[f"accuracy/codebook_{stage + 1}"] = stage_metrics["accuracy"]
        return metrics

    def sample(self, rt: Runtime, batch: Batch) -> Mapping[str, SampleAudio | SampleImage]:
        """Each utterance with its recorded first codebook and the others predicted, and as recorded."""
        text, example = batch["phonemes"], self._prompted(batch, PromptDraws.fixed(len(batch)))
        prompted = example.prompted
        samples: dict[str, SampleAudio | SampleImage] = {}
        for row, name in enumerate(batch.ids):
            prompt = int(prompted.prompt_lengths[row])
            codes = prompted.codes[row, : prompted.lengths[row]]
            nar_input = NarInput(
                text=text.values[row, : text.lengths[row]],
                known=codes[:prompt],
                prompt_length=prompt,
                first_codebook=codes[prompt:, 0],
            )
            [predicted] = predict_codebooks(self.nar, [nar_input])
            samples |= self.sample_decoder.samples(name, predicted)
            samples |= self.sample_decoder.samples(f"{name}/recorded", codes[prompt:])
        return samples

    def adapt(
        self, weights: Mapping[str, Tensor], batches: Iterable[Batch]
    ) -> Mapping[str, Adapted]:
        """Initialize the embeddings from those of an AR model if that is the source of fine-tuning."""
        if any(name.startswith("nar.") for name in weights):
            return {}
        text, first = (weights.get(f"ar.{name}_embedding.weight") for name in ("text", "code"))
        bins = self.nar.tables.size(1)
        adapted: dict[str, Adapted] = {}
        if text is not None and text.shape[1] == self.nar.text_embedding.embedding_dim:
            adapted["nar.text_embedding.weight"] = Adapted(
                tensor=text.clone(),
                source="ar.text_embedding.weight",
                how="taken from the AR model",
            )
        if first is not None and first[:bins].shape == self.nar.tables.shape[1:]:
            tables = self.nar.tables.detach().cpu().clone()
            tables[0] = first[:bins]
            adapted["nar.tables"] = Adapted(
                tensor=tables,
                source="ar.code_embedding.weight",
                how="the first codebook's embedding taken from the AR model",
            )
        return adapted

    def _prompted(self, batch: Batch, draws: PromptDraws) -> PromptedExample:
        codes = batch_codes(batch, self.config)
        return add_prompts(
            codes.values,
            codes.lengths,
            batch.speakers,
            mode=self.config.nar.prompt,
            max_frames=self.max_prompt_frames,
            draws=draws,
        )

    def _predict(
        self, rt: Runtime, batch: Batch, example: PromptedExample, stages: Tensor
    ) -> CodePredictions:
        text, prompted = batch["phonemes"], example.prompted
        with rt.autocast():
            logits = rt["nar"](text.values, text.lengths, prompted, stages)
        index = stages[:, None, None].expand(*prompted.codes.shape[:2], 1)
        targets = prompted.codes.gather(2, index).squeeze(2)
        return score_predictions(logits, targets.masked_fill(~example.loss_mask, IGNORE_INDEX))
