"""Training VITS2: what VITS learns, and durations that a discriminator judges.

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
from allophone_vits2.model import DiscriminatedDurations, Vits2
from allophone_vits2.transfer import adapted_from_vits


class Vits2Objective(VitsObjective):
    """A generator, discriminators of its segments, and one of its durations.

    The one of durations learns from a step on that the config names; before, it is left alone.
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
        """The generator of a model's config."""
        return Vits2(model, vocabulary_size=vocabulary_size, speakers=speakers, audio=audio)

    def alignment_search(self, step: int) -> AlignmentSearch:
        """With noise at first, whose scale follows the step; then as VITS."""
        scale = self.alignment_noise.at(step)
        return NoisySearch(scale=scale) if scale > 0 else super().alignment_search(step)

    def discriminator_step(
        self, rt: Runtime, output: VitsOutput, target: Target
    ) -> dict[str, Tensor]:
        """Update the discriminators, that of the durations too once it has started."""
        losses = super().discriminator_step(rt, output, target)
        if self._discriminates_durations(rt.step):
            with rt.autocast():
                scores = _discriminate_durations(rt, output, detached=True)
            loss = duration_discriminator_loss(scores)
            rt.update("duration_discriminator", loss)
            losses["duration_discriminator_loss"] = loss
        return losses

    def adversarial_losses(
        self, rt: Runtime, output: VitsOutput, target: Target
    ) -> dict[str, Tensor]:
        """The generator's losses by the discriminators."""
        losses = super().adversarial_losses(rt, output, target)
        if self._discriminates_durations(rt.step):
            with rt.frozen("duration_discriminator"), rt.autocast():
                scores = _discriminate_durations(rt, output, detached=False)
            losses["duration_adversarial"] = duration_adversarial_loss(scores)
        return losses

    def reconstruction_losses(self, output: VitsOutput, target: Target) -> dict[str, Tensor]:
        """VITS's, with the KL divergence less the flow's log-determinant."""
        losses = super().reconstruction_losses(output, target)
        generator = self.generator
        assert isinstance(generator, Vits2)
        losses["kl"] = losses["kl"] - generator.flow.log_determinant
        return losses

    def adapt(
        self, weights: Mapping[str, Tensor], batches: Iterable[Batch]
    ) -> Mapping[str, Adapted]:
        """What can be made of the weights of a VITS model where they do not fit as they are."""
        waveforms = (batch["waveform"] for batch in batches)
        return adapted_from_vits(weights, self.generator.state_dict(), self.audio, waveforms)

    def _discriminates_durations(self, step: int) -> bool:
        return self.duration_config.kind != "none" and step >= self.duration_config.start


def _discriminate_durations(
    rt: Runtime, output: VitsOutput, *, detached: bool
) -> DurationDiscriminatorOutput:
    durations = output.durations
    assert isinstance(durations, DiscriminatedDurations)
    predicted = durations.predicted.detach() if detached else durations.predicted
    scores: DurationDiscriminatorOutput = rt["duration_discriminator"](
        durations.hidden, durations.found, predicted, durations.mask, durations.speaker
    )
    return scores
