"""The configuration of DiffWave: the tables `[vocoder]` and `[trainer]` of an experiment.

The defaults are the published base model (Kong et al. 2021, section 5.1). Light: imports only attrs.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from attrs import Attribute, Factory, field, frozen, validators

from allophone.audio.melspec import MelSpec
from allophone.errors import ConfigError

_positive: Any = validators.gt(0)
_share: Any = validators.and_(_positive, validators.lt(1))


def _all_positive(instance: Any, attribute: Attribute[Any], value: tuple[int, ...]) -> None:
    if not value or min(value) < 1:
        raise ConfigError(
            f"{type(instance).__name__}.{attribute.name} must hold positive numbers, not {value}"
        )


@frozen(kw_only=True)
class NoiseConfig:
    """The noise schedule of training, with linearly spaced betas (section 5.1 and appendix A.1).

    steps: number of diffusion steps.
    first, last: beta, the variance of the added noise, of the first and the last step.
    """

    steps: int = field(default=50, validator=validators.ge(2))
    first: float = field(default=1e-4, validator=_share)
    last: float = field(default=0.05, validator=_share)

    def __attrs_post_init__(self) -> None:
        if self.first >= self.last:
            raise ConfigError(
                f"vocoder.noise.first ({self.first}) must be less than vocoder.noise.last ({self.last})"
            )


@frozen(kw_only=True)
class DiffwaveConfig:
    """The denoiser, `type = "diffwave"`; the number of mel bands comes from `[audio]`.

    channels: of each layer.
    layers: number of residual layers.
    dilation_cycle: number of layers after which the dilations 1, 2, 4, ... start again at 1.
    upsample_rates: strides of the transposed convolutions that upsample mels to the sample rate. Their
        product must be the hop length.
    noise: the noise schedule of training.
    """

    channels: int = field(default=64, validator=_positive)
    layers: int = field(default=30, validator=_positive)
    dilation_cycle: int = field(default=10, validator=_positive)
    upsample_rates: tuple[int, ...] = field(default=(16, 16), validator=_all_positive)
    noise: NoiseConfig = Factory(NoiseConfig)

    @property
    def dilations(self) -> tuple[int, ...]:
        """The dilation of each layer."""
        return tuple(2 ** (layer % self.dilation_cycle) for layer in range(self.layers))

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return math.prod(self.upsample_rates)

    def check_audio(self, audio: MelSpec) -> None:
        """Raise ConfigError unless the upsampling rates multiply to the hop length of `audio`."""
        audio.check_upsampling(self.upsample_rates, "vocoder.upsample_rates")


@frozen(kw_only=True)
class DiffwaveTrainerConfig:
    """Training as published, `type = "diffwave"`.

    decay: factor on the learning rate after each epoch; 1 keeps it constant.
    weight_decay: of AdamW; 0 makes it Adam.
    segment_frames: length in frames of the segment of each utterance in a step.
    input_mels: "recorded" mels are computed from the recordings. "predicted" mels are the feature "mel",
        predicted by an acoustic model with the durations of the recordings, to fine-tune a vocoder to it.
    """

    learning_rate: float = field(default=2e-4, validator=_positive)
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = field(default=0.0, validator=validators.ge(0))
    decay: float = field(default=1.0, validator=validators.and_(_positive, validators.le(1.0)))
    segment_frames: int = field(default=62, validator=_positive)
    input_mels: Literal["recorded", "predicted"] = "recorded"
