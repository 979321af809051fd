"""VITS2 training: VITS training with a duration discriminator and noise in the alignment search.

Legend: B batch, T text, F frames, N samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.config.experiment import Experiment
from allophone.data.batch import Batch
from allophone.data.vocabulary import Vocabulary
from allophone.training.objective import Adapted, Runtime
from allophone_vits.model import AlignmentSearch, VitsOutput
from allophone_vits.objective import Target, VitsObjective
from allophone_vits2.alignment import NoisySearch
from allophone_vits2.config import Vits2Config, Vits2TrainerConfig
from allophone_vits2.duration_discriminator import (
    DurationDiscriminator,
    DurationDiscriminatorOutput,
    duration_adversarial_loss,
    duration_discriminator_loss,
)
from allophone_vits2.model import Vits2, Vits2DurationOutput
from allophone_vits2.transfer import adapt_vits_weights


class Vits2Objective(VitsObjective):
    """Adversarial training of the VITS2 generator.

    The duration discriminator takes part from the configured step on.
    """

    def __init__(self, experiment: Experiment, vocabulary: Vocabulary) -> None:
        super().__init__(experiment, vocabulary)
        model, trainer = experiment.model, experiment.trainer
        assert isinstance(model, Vits2Config)
        assert isinstance(trainer, Vits2TrainerConfig)
        self.alignment_noise = trainer.alignment_noise
        self.duration_config = trainer.duration_discriminator
        if self.duration_config.kind != "none":
            discriminator = DurationDiscriminator(
                self.duration_config,
                text_channels=model.text_encoder.hidden_channels,
                speaker_channels=model.speaker_channels if len(vocabulary.speakers) > 1 else 0,
            )
            self.modules = {**self.modules, "duration_discriminator": discriminator}
            self.weights = {
                **self.weights,
                "duration_adversarial": self.duration_config.weight,
            }

    def build_generator(
        self, model: Any, *, vocabulary_size: int, speakers: int, audio: MelSpec
    ) -> Vits2:
        """Build the generator from the model's config."""
        return Vits2(model, vocabulary_size=vocabulary_size, speakers=speakers, audio=audio)

    def alignment_search(self, step: int) -> AlignmentSearch:
        """Noisy search while the noise has not decayed to 0, then the search of VITS (section 2.2)."""
        scale = self.alignment_noise.at(step)
        return NoisySearch(scale=scale) if scale > 0 else super().alignment_search(step)

    def discriminator_step(
        self, rt: Runtime, output: VitsOutput, target: Target
    ) -> dict[str, Tensor]:
        """Update the waveform discriminators and, from its start step on, the duration discriminator."""
        losses = super().discriminator_step(rt, output, target)
        if self._trains_durations_adversarially(rt.step):
            with rt.autocast():
                scores = _discriminate_durations(rt, output, detach=True)
            loss = duration_discriminator_loss(scores)
            rt.update("duration_discriminator", loss)
            losses["duration_discriminator_loss"] = loss
        return losses

    def adversarial_losses(
        self, rt: Runtime, output: VitsOutput, target: Target
    ) -> dict[str, Tensor]:
        """Adversarial and feature matching losses of VITS, and the adversarial duration loss (section 2.1)."""
        losses = super().adversarial_losses(rt, output, target)
        if self._trains_durations_adversarially(rt.step):
            with rt.frozen("duration_discriminator"), rt.autocast():
                scores = _discriminate_durations(rt, output, detach=False)
            losses["duration_adversarial"] = duration_adversarial_loss(scores)
        return losses

    def reconstruction_losses(self, output: VitsOutput, target: Target) -> dict[str, Tensor]:
        """The losses of VITS; the KL divergence subtracts the flow's log-determinant."""
        losses = super().reconstruction_losses(output, target)
        generator = self.generator
        assert isinstance(generator, Vits2)
        losses["kl"] = losses["kl"] - generator.flow.log_determinant
        return losses

    def adapt(
        self, weights: Mapping[str, Tensor], batches: Iterable[Batch]
    ) -> Mapping[str, Adapted]:
        """Convert weights of a VITS model that do not fit as they are; see `Objective.adapt`."""
        waveforms = (batch["waveform"] for batch in batches)
        return adapt_vits_weights(weights, self.generator.state_dict(), self.audio, waveforms)

    def _trains_durations_adversarially(self, step: int) -> bool:
        return self.duration_config.kind != "none" and step >= self.duration_config.start


def _discriminate_durations(
    rt: Runtime, output: VitsOutput, *, detach: bool
) -> DurationDiscriminatorOutput:
    durations = output.durations
    assert isinstance(durations, Vits2DurationOutput)
    predicted = durations.predicted.detach() if detach else durations.predicted
    scores: DurationDiscriminatorOutput = rt["duration_discriminator"](
        durations.hidden, durations.real, predicted, durations.mask, durations.speaker
    )
    return scores
