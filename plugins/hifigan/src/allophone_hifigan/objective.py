"""Training of HiFi-GAN (section 2.4).

Legend: B batch, M mel bands, F frames, N samples.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from allophone.audio.spectrogram import mel_spectrogram
from allophone.config.experiment import Experiment
from allophone.data.batch import Batch
from allophone.data.manifest import Dropped
from allophone.data.vocabulary import Vocabulary
from allophone.events import SampleAudio, SampleImage
from allophone.training.adversarial import (
    adversarial_loss,
    discriminate,
    discriminator_loss,
    feature_matching_loss,
)
from allophone.training.objective import Metrics, OptimizerPlan, Runtime
from allophone.training.optimizers import adamw, exponential
from allophone.training.segments import Segmenter, middle_starts, random_starts
from allophone_hifigan.config import HifiganConfig, HifiganTrainerConfig, loss_audio
from allophone_hifigan.discriminators import Discriminators
from allophone_hifigan.generator import Generator

PEAK = 0.95


class HifiganObjective:
    """Trains a generator against discriminators."""

    def __init__(self, experiment: Experiment, vocabulary: Vocabulary) -> None:
        del vocabulary
        config, trainer = experiment.vocoder, experiment.trainer
        assert isinstance(config, HifiganConfig)
        assert isinstance(trainer, HifiganTrainerConfig)
        config.check_audio(experiment.audio)
        self.trainer = trainer
        self.loss_audio = loss_audio(experiment.audio)
        self.segmenter = Segmenter(
            experiment.audio,
            frames=trainer.segment_frames(experiment.audio),
            mels=trainer.input_mels,
            peak=PEAK if trainer.normalize_peaks else None,
        )
        self.features = self.segmenter.features
        self.segment_samples = self.segmenter.samples
        self.modules: Mapping[str, nn.Module] = {
            "generator": Generator(config, mels=experiment.audio.n_mels),
            "discriminator": Discriminators(trainer.discriminators),
        }

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        """AdamW for each module, with an exponential decay per epoch."""
        trainer = self.trainer
        return {
            name: adamw(
                name,
                learning_rate=trainer.learning_rate,
                betas=trainer.betas,
                epsilon=trainer.epsilon,
                weight_decay=trainer.weight_decay,
                schedule=exponential(trainer.decay),
                per="epoch",
            )
            for name in self.modules
        }

    def reject(self, lengths: Mapping[str, int]) -> Dropped | None:
        """Reject utterances that are too short, or whose predicted mel has another length."""
        return self.segmenter.reject(lengths)

    def train_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """Update the discriminators on detached generated audio, then the generator."""
        segments = self.segmenter.cut(batch, random_starts)
        recorded = segments.waveform
        with rt.autocast():
            generated = rt["generator"](segments.mel)
            outputs = discriminate(rt["discriminator"], recorded, generated.detach())
        loss = discriminator_loss(*outputs)
        rt.update("discriminator", loss)

        with rt.frozen("discriminator"), rt.autocast():
            of_recorded, of_generated = discriminate(
                rt["discriminator"], recorded, generated, detach_real=True
            )
        losses = {
            "adversarial": adversarial_loss(of_generated),
            "feature": feature_matching_loss(of_recorded, of_generated),
            "mel": self._mel_loss(generated, recorded),
        }
        total = (
            losses["adversarial"]
            + self.trainer.feature_weight * losses["feature"]
            + self.trainer.mel_weight * losses["mel"]
        )
        rt.update("generator", total)
        return {
            "discriminator_loss": loss,
            "generator_loss": total,
            **{f"{name}_loss": value for name, value in losses.items()},
        }

    def eval_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """The mel loss of the middle segment of each utterance."""
        segments = self.segmenter.cut(batch, middle_starts)
        with rt.autocast():
            generated = rt["generator"](segments.mel)
        return {"mel_loss": self._mel_loss(generated, segments.waveform)}

    def sample(self, rt: Runtime, batch: Batch) -> Mapping[str, SampleAudio | SampleImage]:
        """Each whole utterance synthesized from its mel, and its mel next to that of the recording."""
        samples: dict[str, SampleAudio | SampleImage] = {}
        for whole in self.segmenter.full_utterances(batch):
            with rt.autocast():
                waveform = self.modules["generator"](whole.mel)
            samples |= self.segmenter.make_samples(whole, waveform)
        return samples

    def _mel_loss(self, generated: Tensor, recorded: Tensor) -> Tensor:
        """The L1 distance of mels up to half the sample rate (equation 3)."""
        return functional.l1_loss(
            mel_spectrogram(generated, self.loss_audio), mel_spectrogram(recorded, self.loss_audio)
        )
