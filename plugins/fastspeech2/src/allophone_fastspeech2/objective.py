"""Training FastSpeech 2, as section 2 of its paper says it, with an aligner beside it.

Legend: B batch, T text, F frames, N samples, M mel bands.
"""

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
from allophone_fastspeech2.recordings import needed_features, recordings_of
from allophone_fastspeech2.variance_adaptor import ProsodyControls

CALIBRATED = {"f0": "pitch", "energy": "energy"}
"""The features whose statistics are taken, and what the model calls them."""


class FastSpeech2Objective:
    """One model, whose losses are added up."""

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
        """Adam, whose rate rises, falls with the inverse square root, and is annealed thrice."""
        trainer = self.trainer
        return {
            "model": adamw(
                "model",
                learning_rate=trainer.learning_rate,
                betas=trainer.betas,
                epsilon=trainer.epsilon,
                schedule=_annealed(trainer),
                clip_norm=trainer.clip_norm,
            )
        }

    def reject(self, lengths: Mapping[str, int]) -> Dropped | None:
        """Each token that the aligner finds has a frame at least.

        Raises ConfigError where stored durations are not those of the tokens.
        """
        tokens = lengths["phonemes"]
        if self.config.durations == "stored":
            if lengths["durations"] != tokens:
                raise ConfigError(
                    f"An utterance has {tokens} ids, and stored durations of "
                    f"{lengths['durations']}.",
                    hint="Stored durations are those of the phonemes themselves: set text.blank and "
                    "text.boundaries to false, and extract both features from the same source, such "
                    'as [features.phonemes] type = "phones" and [features.durations].',
                )
            return None
        frames = self.audio.frames(lengths["waveform"])
        if tokens <= frames:
            return None
        return Dropped(reason="more tokens than frames", detail=f"{tokens} tokens, {frames} frames")

    def calibrate(self, batches: Iterable[Batch]) -> None:
        """Take the statistics of voiced pitch and of energy."""
        kept: dict[str, list[Tensor]] = {feature: [] for feature in CALIBRATED}
        for batch in batches:
            for feature, values in kept.items():
                values += _rows(batch[feature])
        for feature, variance in CALIBRATED.items():
            values = kept[feature]
            if feature == "f0":
                values = [row[row > 0] for row in values]
            statistics = getattr(self.model.variance_adaptor, variance).statistics
            statistics.take(values, what=f"{variance} (the feature '{feature}')")

    def train_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """All losses at once."""
        losses = self._losses(rt, batch)
        weights = self.weights(rt.step)
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
        rt.update("model", total)
        return {"loss": total, **{f"{name}_loss": loss for name, loss in losses.items()}}

    def eval_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """The losses with the recordings' own durations, pitch and energy."""
        return {f"{name}_loss": loss for name, loss in self._losses(rt, batch).items()}

    def sample(self, rt: Runtime, batch: Batch) -> Mapping[str, SampleAudio | SampleImage]:
        """Each text said by the model and heard through Griffin-Lim, its mel beside the recording's,
        and how they are aligned."""
        recordings = recordings_of(batch, self.audio)
        output = self._forward_teacher_forced(rt, recordings)
        plain = torch.ones_like(recordings.tokens, dtype=torch.float32)
        spoken = self.model.synthesize(
            recordings.tokens,
            recordings.token_lengths,
            recordings.speakers,
            ProsodyControls(length_scale=plain, pitch=plain, energy=plain),
        )
        vocoder = GriffinLim(GriffinLimConfig(), self.audio, rt.device)
        waveforms = vocoder.vocode(spoken.mel, spoken.lengths)
        samples: dict[str, SampleAudio | SampleImage] = {}
        for row, name in enumerate(batch.ids):
            said, frames = int(spoken.lengths[row]), int(recordings.frame_lengths[row])
            samples |= {
                f"{name}/audio": SampleAudio(
                    samples=_numpy(waveforms[row, : said * self.audio.hop_length]),
                    sample_rate=self.audio.sample_rate,
                ),
                f"{name}/mel": SampleImage(values=_numpy(spoken.mel[row, :, :said])),
                f"{name}/recorded_mel": SampleImage(values=_numpy(recordings.mel[row, :, :frames])),
            }
            if output.alignment is not None:
                tokens = int(recordings.token_lengths[row])
                likely = output.alignment.scores[row, :frames, :tokens].softmax(1)
                samples[f"{name}/alignment"] = SampleImage(values=_numpy(likely.T))
        return samples

    def _losses(self, rt: Runtime, batch: Batch) -> dict[str, Tensor]:
        recordings = recordings_of(batch, self.audio)
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
        """The model with the recordings' own durations, pitch and energy."""
        with rt.autocast():
            output: FastSpeech2Output = rt["model"](recordings)
        return output

    def weights(self, step: int) -> dict[str, float]:
        """The weight of each loss. A frozen aligner's are 0 rather than left out: other ranks wait for
        the gradients of all parameters."""
        trainer = self.trainer
        end = trainer.freeze_aligner_after
        learns = end is None or step < end
        return {
            "mel": trainer.mel_weight,
            "coarse_mel": trainer.coarse_mel_weight,
            "duration": trainer.duration_weight,
            "pitch": trainer.pitch_weight,
            "energy": trainer.energy_weight,
            "alignment": trainer.alignment_weight * learns,
            "binarisation": trainer.binarisation_weight
            * (learns and step >= trainer.binarise_after),
        }


def _annealed(trainer: FastSpeech2TrainerConfig) -> Callable[[int], float]:
    rate = noam(trainer.warmup)

    def factor(taken: int) -> float:
        annealed = sum(taken >= step for step in trainer.anneal_steps)
        return rate(taken) * trainer.anneal_rate**annealed

    return factor


def _rows(padded: Padded) -> list[Tensor]:
    """Each utterance's own values."""
    lengths = padded.lengths.tolist()
    return [row[:length] for row, length in zip(padded.values, lengths, strict=True)]


def _numpy(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.float().cpu().numpy()
    return array
