"""The training step of a decoder whose true waveform is known. B batch, N samples."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from allophone.training.adversarial import (
    DiscriminatorOutput,
    Outputs,
    adversarial_loss,
    discriminate,
    discriminator_loss,
    feature_matching_loss,
)
from allophone.training.objective import Metrics, OptimizerPlan, Runtime
from allophone.training.optimizers import adamw, cosine
from allophone_vocos.config import VocosTrainerConfig
from allophone_vocos.discriminators import Discriminators
from allophone_vocos.spectral import SpectralLoss

GENERATOR = "generator"
DISCRIMINATOR = "discriminator"

_SLOWEST = 0.05
"""Factor on the learning rates at the end of the schedule."""


class WaveformLearning:
    """Spectral and adversarial losses of an objective with the modules `generator` and `discriminator`."""

    def __init__(self, config: VocosTrainerConfig, *, sample_rate: int) -> None:
        self.config = config
        self.spectral = SpectralLoss(config.spectral, sample_rate=sample_rate)

    def discriminators(self) -> Discriminators:
        """Build the module `discriminator`."""
        return Discriminators(self.config.discriminators)

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        """AdamW for each module, with a cosine schedule."""
        config = self.config
        rates = {GENERATOR: config.learning_rate, DISCRIMINATOR: config.discriminator_rate}
        return {
            name: adamw(
                name,
                learning_rate=rate,
                betas=config.betas,
                epsilon=config.epsilon,
                weight_decay=config.weight_decay,
                schedule=cosine(config.warmup, config.total_steps, floor=_SLOWEST),
            )
            for name, rate in rates.items()
        }

    def update(
        self, rt: Runtime, real: Tensor, generated: Tensor, further: Tensor | float = 0.0
    ) -> Metrics:
        """Update the discriminators, once they take part, then the generator.

        real, generated: [B, N]; further: a loss of the generator besides those of the waveform.
        """
        config = self.config
        distances = self.spectral(generated, real, self.spectral.drawn_sizes())
        total = further + self.spectral.weighted(distances)
        metrics = distances.named()
        if rt.step >= config.adversarial_from:
            with rt.autocast():
                of_real, of_generated = discriminate(rt[DISCRIMINATOR], real, generated.detach())
            loss = discriminator_loss(of_real, of_generated)
            rt.update(DISCRIMINATOR, loss)
            metrics["discriminator_loss"] = loss
            if rt.step >= config.adversarial_from + config.discriminators_lead:
                judged = self._judged(rt, generated, of_real)
                metrics |= judged
                total = total + config.adversarial_weight * judged["adversarial_loss"]
                total = total + config.feature_weight * judged["feature_loss"]
        rt.update(GENERATOR, total)
        return {"generator_loss": total, **metrics}

    def _judged(self, rt: Runtime, generated: Tensor, of_real: Outputs) -> dict[str, Tensor]:
        """The generator's losses against the discriminators.

        of_real: what they gave for real speech before their update, which saves a third of this pass.
        """
        with rt.frozen(DISCRIMINATOR), rt.autocast():
            of_generated = rt[DISCRIMINATOR](generated)
        return {
            "adversarial_loss": adversarial_loss(of_generated),
            "feature_loss": feature_matching_loss(_detached(of_real), of_generated),
        }

    def evaluate(self, real: Tensor, generated: Tensor) -> Metrics:
        """The spectral distances at all window sizes; real, generated [B, N]."""
        return self.spectral(generated, real).named()


def _detached(outputs: Outputs) -> Outputs:
    return [
        DiscriminatorOutput(
            score=output.score.detach(),
            features=tuple(feature.detach() for feature in output.features),
        )
        for output in outputs
    ]
