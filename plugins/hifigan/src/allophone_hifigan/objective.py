"""Training of HiFi-GAN (section 2.4), and of iSTFTNet, which is trained in the same way.

Legend: B batch, M mel bands, F frames, D bands, N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from attrs import frozen
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
from allophone_hifigan.config import (
    HifiganConfig,
    HifiganTrainerConfig,
    IstftConfig,
    IstftTrainerConfig,
    loss_audio,
)
from allophone_hifigan.discriminators import Discriminators
from allophone_hifigan.istft import IstftGenerator
from allophone_hifigan.sub_bands import check_segment, sub_band_loss
from allophone_hifigan.vocoder import build_generator

PEAK = 0.95


@frozen(kw_only=True)
class Generated:
    """waveform [B, N]; bands [B, D, N / D] of a pseudo-QMF bank, or None."""

    waveform: Tensor
    bands: Tensor | None = None


class TrainedInBands(IstftGenerator):
    """A multi-band generator whose pass in training gives its bands too."""

    def forward(  # type: ignore[override]
        self, features: Tensor, mask: Tensor | None = None, speaker: Tensor | None = None
    ) -> Generated:
        """As `IstftGenerator.forward`."""
        bands = self.bands(features, mask, speaker)
        return Generated(waveform=self.join(bands, mask), bands=bands)


class HifiganObjective:
    """Trains a generator against discriminators.

    weights: of the generator's losses, by name.
    """

    def __init__(self, experiment: Experiment, vocabulary: Vocabulary) -> None:
        del vocabulary
        config, trainer = experiment.vocoder, experiment.trainer
        assert isinstance(config, HifiganConfig | IstftConfig)
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
            "generator": self.build_generator(config, experiment.audio.n_mels),
            "discriminator": Discriminators(trainer.discriminators),
        }
        self.weights = {
            "adversarial": 1.0,
            "feature": trainer.feature_weight,
            "mel": trainer.mel_weight,
        }

    def build_generator(self, config: HifiganConfig | IstftConfig, mels: int) -> nn.Module:
        """Build the generator to train."""
        return build_generator(config, mels=mels)

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
            made = self._generate(rt["generator"], segments.mel)
            generated = made.waveform
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
            **self.further_losses(made, recorded),
        }
        total = sum((self.weights[name] * loss for name, loss in losses.items()), torch.zeros(()))
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
            generated = self._generate(rt["generator"], segments.mel).waveform
        return {"mel_loss": self._mel_loss(generated, segments.waveform)}

    def sample(self, rt: Runtime, batch: Batch) -> Mapping[str, SampleAudio | SampleImage]:
        """Each whole utterance synthesized from its mel, and its mel next to that of the recording."""
        samples: dict[str, SampleAudio | SampleImage] = {}
        for whole in self.segmenter.full_utterances(batch):
            with rt.autocast():
                waveform = self._generate(self.modules["generator"], whole.mel).waveform
            samples |= self.segmenter.make_samples(whole, waveform)
        return samples

    def further_losses(self, generated: Generated, recorded: Tensor) -> dict[str, Tensor]:
        """Losses of the generator besides those of HiFi-GAN, by name; recorded [B, N]."""
        return {}

    def _generate(self, generator: Callable[[Tensor], Any], mel: Tensor) -> Generated:
        made = generator(mel)
        return made if isinstance(made, Generated) else Generated(waveform=made)

    def _mel_loss(self, generated: Tensor, recorded: Tensor) -> Tensor:
        """The L1 distance of mels up to half the sample rate (equation 3)."""
        return functional.l1_loss(
            mel_spectrogram(generated, self.loss_audio), mel_spectrogram(recorded, self.loss_audio)
        )


class IstftObjective(HifiganObjective):
    """Trains iSTFTNet against discriminators; with bands of a pseudo-QMF bank, on a loss of the bands too."""

    def __init__(self, experiment: Experiment, vocabulary: Vocabulary) -> None:
        super().__init__(experiment, vocabulary)
        assert isinstance(self.trainer, IstftTrainerConfig)
        self.weights["sub_band"] = self.trainer.sub_band_weight

    def build_generator(self, config: HifiganConfig | IstftConfig, mels: int) -> nn.Module:
        """Build the generator to train."""
        assert isinstance(config, IstftConfig)
        assert isinstance(self.trainer, IstftTrainerConfig)
        if not (config.sub_bands and self.trainer.sub_band_weight):
            return IstftGenerator(config, in_channels=mels)
        check_segment(self.trainer.segment_size, config.bands)
        return TrainedInBands(config, in_channels=mels)

    def further_losses(self, generated: Generated, recorded: Tensor) -> dict[str, Tensor]:
        """The loss of the bands."""
        if generated.bands is None:
            return {}
        generator = self.modules["generator"]
        assert isinstance(generator, IstftGenerator)
        return {"sub_band": sub_band_loss(generated.bands, generator.split(recorded))}
