"""Configuration of VITS: the tables `[model]` and `[trainer]` of an experiment.

The defaults are those of the published LJSpeech model (Kim et al. 2021). Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from attrs import Attribute, Factory, evolve, field, frozen, validators

from allophone.audio.melspec import MelSpec
from allophone.errors import ConfigError
from allophone.fields import choice
from allophone_hifigan.config import HifiganConfig, IstftConfig, MultiBandIstftConfig
from allophone_vocos.config import DiscriminatorsConfig, SpectralLossConfig, VocosConfig

_positive: Any = validators.gt(0)
_probability: Any = validators.and_(validators.ge(0), validators.lt(1))


def _odd(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    """Validate kernel sizes; an even kernel would shift its output by half a position."""
    for size in value if isinstance(value, tuple) else (value,):
        if size < 1 or size % 2 == 0:
            raise ConfigError(
                f"{type(instance).__name__}.{attribute.name} must be odd and positive, got {value}"
            )


def _all_positive(instance: Any, attribute: Attribute[Any], value: tuple[int, ...]) -> None:
    if not value or min(value) < 1:
        raise ConfigError(
            f"{type(instance).__name__}.{attribute.name} must be one or more positive integers, got {value}"
        )


def even_latents(instance: Any, attribute: Attribute[Any], value: int) -> None:
    """Validate `latent_channels`."""
    if value < 1 or value % 2:
        raise ConfigError(
            f"model.latent_channels must be even and positive, got {value}: "
            "each coupling of the flow splits the channels in half"
        )


@frozen(kw_only=True)
class TextEncoderConfig:
    """Transformer with windowed relative position embeddings (section 2.5.2).

    window: number of positions on each side that have a relative embedding.
    """

    hidden_channels: int = field(default=192, validator=_positive)
    feed_forward_channels: int = field(default=768, validator=_positive)
    heads: int = field(default=2, validator=_positive)
    layers: int = field(default=6, validator=_positive)
    kernel_size: int = field(default=3, validator=_odd)
    window: int = field(default=4, validator=_positive)
    dropout: float = field(default=0.1, validator=_probability)

    def __attrs_post_init__(self) -> None:
        if self.hidden_channels % self.heads:
            raise ConfigError(
                f"model.text_encoder.hidden_channels ({self.hidden_channels}) must be divisible "
                f"by heads ({self.heads})"
            )


@frozen(kw_only=True)
class PosteriorEncoderConfig:
    """Non-causal WaveNet over the linear spectrogram; used in training, alignment and voice
    conversion (section 2.5.1).
    """

    hidden_channels: int = field(default=192, validator=_positive)
    layers: int = field(default=16, validator=_positive)
    kernel_size: int = field(default=5, validator=_odd)


@frozen(kw_only=True)
class FlowConfig:
    """Volume-preserving affine coupling layers, each with a WaveNet of `layers` layers (section 2.5.2)."""

    hidden_channels: int = field(default=192, validator=_positive)
    couplings: int = field(default=4, validator=_positive)
    layers: int = field(default=4, validator=_positive)
    kernel_size: int = field(default=5, validator=_odd)


@frozen(kw_only=True)
class DurationConfig:
    """Duration predictor.

    kind: "stochastic" is the flow-based predictor of section 2.2.2, which samples varied rhythms;
        "deterministic" is the regression of the ablation, faster and with a fixed rhythm.
    channels: 192 (stochastic) or 256 (deterministic) in the published models.
    couplings: coupling layers in each of the two flows of the stochastic predictor.
    """

    kind: Literal["stochastic", "deterministic"] = "stochastic"
    channels: int = field(default=192, validator=_positive)
    kernel_size: int = field(default=3, validator=_odd)
    dropout: float = field(default=0.5, validator=_probability)
    couplings: int = field(default=4, validator=validators.ge(2))


DECODERS: Mapping[str, type] = MappingProxyType(
    {
        "hifigan": HifiganConfig,
        "istft": IstftConfig,
        "mb-istft": MultiBandIstftConfig,
        "vocos": VocosConfig,
    }
)
"""The decoders by the `type` of `[model.decoder]`."""


@frozen(kw_only=True)
class VitsConfig:
    """The model of Kim et al. 2021, `type = "vits"`.

    latent_channels: channels of the latent z, shared by the posterior, the prior and the flow.
    speaker_channels: size of the speaker embedding; unused with fewer than two speakers.
    decoder: of one of the types in `DECODERS`.
    """

    latent_channels: int = field(default=192, validator=even_latents)
    speaker_channels: int = field(default=256, validator=_positive)
    text_encoder: TextEncoderConfig = Factory(TextEncoderConfig)
    posterior_encoder: PosteriorEncoderConfig = Factory(PosteriorEncoderConfig)
    flow: FlowConfig = Factory(FlowConfig)
    duration: DurationConfig = Factory(DurationConfig)
    decoder: Any = choice(DECODERS, default="hifigan")


@frozen(kw_only=True)
class VitsControls:
    """Synthesis controls, set per sentence.

    length_scale: factor on durations; 2 speaks half as fast.
    noise_scale: standard deviation of the noise on the prior; 0 decodes the prior's mean.
    noise_scale_duration: standard deviation of the duration predictor's noise ("stochastic" only).
    precision: precision of the decoder; "bf16" is about twice as fast on processors with bfloat16
        instructions and adds noise some 40 dB below the speech.
    """

    length_scale: float = field(default=1.0, validator=_positive)
    noise_scale: float = field(default=0.667, validator=validators.ge(0))
    noise_scale_duration: float = field(default=0.8, validator=validators.ge(0))
    precision: Literal["fp32", "bf16"] = "fp32"


@frozen(kw_only=True)
class DiscriminatorConfig:
    """One scale discriminator and one discriminator per period (section 2.5.4).

    scale_channels, period_channels: output channels of each convolution.
    """

    periods: tuple[int, ...] = field(default=(2, 3, 5, 7, 11), validator=_all_positive)
    scale_channels: tuple[int, ...] = field(
        default=(16, 64, 256, 1024, 1024, 1024), validator=_all_positive
    )
    period_channels: tuple[int, ...] = field(
        default=(32, 128, 512, 1024, 1024), validator=_all_positive
    )

    def __attrs_post_init__(self) -> None:
        if len(self.scale_channels) < 2 or any(size % 4 for size in self.scale_channels):
            raise ConfigError(
                "trainer.discriminator.scale_channels must be two or more multiples of 4, "
                f"got {self.scale_channels}"
            )


DISCRIMINATORS: Mapping[str, type] = MappingProxyType(
    {"vits": DiscriminatorConfig, "small": DiscriminatorsConfig}
)
"""The discriminators by the `type` of `[trainer.discriminator]`; the small ones train on a CPU."""


@frozen(kw_only=True)
class VitsTrainerConfig:
    """Training as published (sections 2.4 and 3.3), `type = "vits"`.

    decay: factor on the learning rate after each epoch.
    segment_size: samples that are decoded of each utterance in a training step.
    mel_weight, kl_weight, duration_weight, feature_weight: loss weights; the adversarial loss has 1.
    sub_band_weight: of the distance of spectra of bands, for decoders with bands of a pseudo-QMF bank
        (Kawamura et al. 2023, section 3.2).
    spectral: further distances of mels and spectra at several window sizes, with weights of their own, for decoders
        with an inverse STFT; None for none.
    discriminator: of one of the types in `DISCRIMINATORS`.
    """

    learning_rate: float = field(default=2e-4, validator=_positive)
    betas: tuple[float, float] = (0.8, 0.99)
    epsilon: float = field(default=1e-9, validator=_positive)
    weight_decay: float = field(default=0.01, validator=validators.ge(0))
    decay: float = field(default=0.999875, validator=validators.and_(_positive, validators.le(1.0)))
    segment_size: int = field(default=8192, validator=_positive)
    mel_weight: float = field(default=45.0, validator=validators.ge(0))
    kl_weight: float = field(default=1.0, validator=validators.ge(0))
    duration_weight: float = field(default=1.0, validator=validators.ge(0))
    feature_weight: float = field(default=2.0, validator=validators.ge(0))
    sub_band_weight: float = field(default=1.0, validator=validators.ge(0))
    spectral: SpectralLossConfig | None = None
    discriminator: Any = choice(DISCRIMINATORS, default="vits")

    def segment_frames(self, audio: MelSpec) -> int:
        """Return `segment_size` in frames; ConfigError if it is not a multiple of the hop length."""
        return audio.whole_frames(self.segment_size, "trainer.segment_size")


@frozen(kw_only=True)
class NewSpeakerTrainerConfig(VitsTrainerConfig):
    """Continues a voice with another speaker's recordings, `type = "vits.new-speaker"`.

    teaching_steps: first steps of the run, in which the posterior encoder learns from the voice's own speech.
    """

    teaching_steps: int = field(default=2000, validator=validators.ge(0))


_MEDIUM = VitsConfig(
    speaker_channels=512,
    decoder=HifiganConfig(
        residual_block="2",
        residual_kernel_sizes=(3, 5, 7),
        residual_dilations=((1, 2), (2, 6), (3, 12)),
        upsample_rates=(8, 8, 4),
        upsample_kernel_sizes=(16, 16, 8),
        channels=256,
    ),
)

SIZES: Mapping[str, VitsConfig] = MappingProxyType(
    {
        "base": VitsConfig(),
        "high": VitsConfig(speaker_channels=512),
        "medium": _MEDIUM,
        "x-low": evolve(
            _MEDIUM,
            latent_channels=96,
            text_encoder=TextEncoderConfig(hidden_channels=96, feed_forward_channels=384),
            posterior_encoder=PosteriorEncoderConfig(hidden_channels=96),
            flow=FlowConfig(hidden_channels=96),
            duration=DurationConfig(channels=96),
        ),
    }
)
"""The published model ("base") and the sizes of Piper's voices; Piper's "low" is "medium" at 16 kHz."""
