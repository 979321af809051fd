"""FastSpeech 2 training (Ren et al. 2021, section 2), with a jointly trained aligner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from allophone.config.experiment import Experiment
from allophone.data.batch import Batch, Padded
from allophone.data.manifest import Dropped
from allophone.data.vocabulary import Vocabulary
from allophone.errors import ConfigError
from allophone.events import SampleAudio, SampleImage
from allophone.inference.config import GriffinLimConfig
from allophone.inference.griffin_lim import GriffinLim
from allophone.training.objective import Metrics, OptimizerPlan, Runtime
from allophone.training.optimizers import adamw, noam
from allophone_fastspeech2.aligner import binarisation_loss, forward_sum_loss
from allophone_fastspeech2.config import FastSpeech2Config, FastSpeech2TrainerConfig
from allophone_fastspeech2.losses import duration_loss, mel_loss, variance_loss
from allophone_fastspeech2.model import FastSpeech2, FastSpeech2Output, Recordings
from allophone_fastspeech2.recordings import needed_features, recordings_from_batch
from allophone_fastspeech2.variance_adaptor import ProsodyControls

CALIBRATED = {"f0": "pitch", "energy": "energy"}
"""Features whose statistics are computed, and their names in the variance adaptor."""


class FastSpeech2Objective:
    """Weighted sum of mel, duration, pitch, energy and alignment losses."""

    calibration_features = tuple(CALIBRATED)

    def __init__(self, experiment: Experiment, vocabulary: Vocabulary) -> None:
        model, trainer = experiment.model, experiment.trainer
        assert isinstance(model, FastSpeech2Config)
        assert isinstance(trainer, FastSpeech2TrainerConfig)
        self.config = model
        self.trainer = trainer
        self.audio = experiment.audio
        self.features = needed_features(model)
        self.model = FastSpeech2(
            model,
            vocabulary_size=vocabulary.symbols.size,
            speakers=len(vocabulary.speakers),
            mels=self.audio.n_mels,
        )
        self.modules: Mapping[str, nn.Module] = {"model": self.model}

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        """Adam with the Noam schedule and step annealing."""
        trainer = self.trainer
        return {
            "model": adamw(
                "model",
                learning_rate=trainer.learning_rate,
                betas=trainer.betas,
                epsilon=trainer.epsilon,
                schedule=_annealed_noam(trainer),
                clip_norm=trainer.clip_norm,
            )
        }

    def reject(self, lengths: Mapping[str, int]) -> Dropped | None:
        """Reject utterances with fewer frames than tokens, which cannot be aligned.

        Raises ConfigError if the number of stored durations is not the number of tokens.
        """
        tokens = lengths["phonemes"]
        if self.config.durations == "stored":
            if lengths["durations"] != tokens:
                raise ConfigError(
                    f"An utterance has {tokens} ids but {lengths['durations']} stored durations.",
                    hint="Stored durations have one entry per phoneme: set text.blank and "
                    "text.boundaries to false, and extract both features from the same source, such "
                    'as [features.phonemes] type = "phones" and [features.durations].',
                )
            return None
        frames = self.audio.frames(lengths["waveform"])
        if tokens <= frames:
            return None
        return Dropped(reason="more tokens than frames", detail=f"{tokens} tokens, {frames} frames")

    def calibrate(self, batches: Iterable[Batch]) -> None:
        """Compute the statistics of voiced pitch and of energy."""
        collected: dict[str, list[Tensor]] = {feature: [] for feature in CALIBRATED}
        for batch in batches:
            for feature, values in collected.items():
                values += _unpad(batch[feature])
        for feature, variance in CALIBRATED.items():
            values = collected[feature]
            if feature == "f0":
                values = [row[row > 0] for row in values]
            statistics = getattr(self.model.variance_adaptor, variance).statistics
            statistics.fit(values, what=f"{variance} (the feature '{feature}')")

    def train_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """Update the model on the weighted sum of all losses."""
        losses = self._losses(rt, batch)
        weights = self.loss_weights(rt.step)
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
        rt.update("model", total)
        return {"loss": total, **{f"{name}_loss": loss for name, loss in losses.items()}}

    def eval_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """Teacher-forced losses."""
        return {f"{name}_loss": loss for name, loss in self._losses(rt, batch).items()}

    def sample(self, rt: Runtime, batch: Batch) -> Mapping[str, SampleAudio | SampleImage]:
        """Synthesized mel and Griffin-Lim audio, the recording's mel, and the soft alignment."""
        recordings = recordings_from_batch(batch, self.audio)
        output = self._forward_teacher_forced(rt, recordings)
        ones = torch.ones_like(recordings.tokens, dtype=torch.float32)
        synthesized = self.model.synthesize(
            recordings.tokens,
            recordings.token_lengths,
            recordings.speakers,
            ProsodyControls(length_scale=ones, pitch=ones, energy=ones),
        )
        vocoder = GriffinLim(GriffinLimConfig(), self.audio, rt.device)
        waveforms = vocoder.vocode(synthesized.mel, synthesized.lengths)
        samples: dict[str, SampleAudio | SampleImage] = {}
        for row, name in enumerate(batch.ids):
            length = int(synthesized.lengths[row])
            frames = int(recordings.frame_lengths[row])
            samples |= {
                f"{name}/audio": SampleAudio(
                    samples=_numpy(waveforms[row, : length * self.audio.hop_length]),
                    sample_rate=self.audio.sample_rate,
                ),
                f"{name}/mel": SampleImage(values=_numpy(synthesized.mel[row, :, :length])),
                f"{name}/recorded_mel": SampleImage(values=_numpy(recordings.mel[row, :, :frames])),
            }
            if output.alignment is not None:
                tokens = int(recordings.token_lengths[row])
                soft = output.alignment.scores[row, :frames, :tokens].softmax(1)
                samples[f"{name}/alignment"] = SampleImage(values=_numpy(soft.T))
        return samples

    def _losses(self, rt: Runtime, batch: Batch) -> dict[str, Tensor]:
        recordings = recordings_from_batch(batch, self.audio)
        output = self._forward_teacher_forced(rt, recordings)
        mels, predictions = output.mels, output.predictions
        losses = {
            "mel": mel_loss(mels.mel, recordings.mel, output.frame_mask),
            "duration": duration_loss(predictions.log_durations, mels.durations, output.token_mask),
            "pitch": variance_loss(predictions.pitch),
            "energy": variance_loss(predictions.energy),
        }
        if mels.coarse is not None:
            losses["coarse_mel"] = mel_loss(mels.coarse, recordings.mel, output.frame_mask)
        if output.alignment is not None:
            scores, hard = output.alignment.scores, output.alignment.hard
            losses["alignment"] = forward_sum_loss(
                scores, recordings.token_lengths, recordings.frame_lengths
            )
            losses["binarisation"] = binarisation_loss(scores, hard, output.frame_mask)
        return losses

    def _forward_teacher_forced(self, rt: Runtime, recordings: Recordings) -> FastSpeech2Output:
        """Run the model with durations, pitch and energy of the recordings."""
        with rt.autocast():
            output: FastSpeech2Output = rt["model"](recordings)
        return output

    def loss_weights(self, step: int) -> dict[str, float]:
        """Weight of each loss at a step.

        The losses of a frozen aligner have weight 0 but are still computed: DDP expects gradients for all
        parameters.
        """
        trainer = self.trainer
        end = trainer.freeze_aligner_after
        aligner_is_trained = end is None or step < end
        return {
            "mel": trainer.mel_weight,
            "coarse_mel": trainer.coarse_mel_weight,
            "duration": trainer.duration_weight,
            "pitch": trainer.pitch_weight,
            "energy": trainer.energy_weight,
            "alignment": trainer.alignment_weight * aligner_is_trained,
            "binarisation": trainer.binarisation_weight
            * (aligner_is_trained and step >= trainer.binarise_after),
        }


def _annealed_noam(trainer: FastSpeech2TrainerConfig) -> Callable[[int], float]:
    rate = noam(trainer.warmup)

    def factor(step: int) -> float:
        annealed = sum(step >= anneal_step for anneal_step in trainer.anneal_steps)
        return rate(step) * trainer.anneal_rate**annealed

    return factor


def _unpad(padded: Padded) -> list[Tensor]:
    """Rows without padding."""
    lengths = padded.lengths.tolist()
    return [row[:length] for row, length in zip(padded.values, lengths, strict=True)]


def _numpy(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.float().cpu().numpy()
    return array
