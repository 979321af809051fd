"""Configuration of distillation: the tables `[trainer]` and `[features.latents]`. Imports no torch."""

from __future__ import annotations

from typing import Any

from attrs import Factory, field, frozen, validators

from allophone.audio.melspec import MelSpec
from allophone_vocos.config import DiscriminatorsConfig, SpectralLossConfig

_positive: Any = validators.gt(0)
_not_negative: Any = validators.ge(0)


@frozen(kw_only=True)
class LatentsConfig:
    """The latents that a teacher's decoder was given, as `allophone distill` writes them.

    directory: folder with a file `<id>.npy`, [F, C], for each utterance.
    """

    directory: str = "teacher/latents"


@frozen(kw_only=True)
class DistillTrainerConfig:
    """Training of a decoder to speak as its teacher's does, `type = "vits-distill"`.

    learning_rate, discriminator_rate: after `warmup` steps; both fall along a cosine until step `total_steps`, to a
        twentieth.
    segment_size: samples that are decoded of each utterance in a step.
    adversarial_from: the first step with discriminators; before it, the spectral losses alone bring the student near.
    adversarial_weight, feature_weight: weights of the adversarial and the feature matching loss.
    spectral: the spectral losses, with their weights.
    """

    learning_rate: float = field(default=5e-4, validator=_positive)
    discriminator_rate: float = field(default=3e-4, validator=_positive)
    betas: tuple[float, float] = (0.8, 0.99)
    epsilon: float = field(default=1e-8, validator=_positive)
    weight_decay: float = field(default=0.01, validator=_not_negative)
    warmup: int = field(default=200, validator=_not_negative)
    total_steps: int = field(default=200_000, validator=_positive)
    segment_size: int = field(default=16384, validator=_positive)
    adversarial_from: int = field(default=1500, validator=_not_negative)
    adversarial_weight: float = field(default=1.0, validator=_not_negative)
    feature_weight: float = field(default=2.0, validator=_not_negative)
    spectral: SpectralLossConfig = Factory(SpectralLossConfig)
    discriminators: DiscriminatorsConfig = Factory(DiscriminatorsConfig)

    def segment_frames(self, audio: MelSpec) -> int:
        """Return `segment_size` in frames; ConfigError if it is not a multiple of the hop length."""
        return audio.whole_frames(self.segment_size, "trainer.segment_size")
