"""Configuration of FastSpeech 2: the tables `[model]` and `[trainer]` of an experiment.

The defaults are those of the most used implementation (github.com/ming024/FastSpeech2), which Amphion follows:
a PostNet, and pitch and energy per phoneme. Imports no torch.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from attrs import Attribute, Factory, field, frozen, validators

from allophone.errors import ConfigError

_positive: Any = validators.gt(0)
_not_negative: Any = validators.ge(0)
_probability: Any = validators.and_(validators.ge(0), validators.lt(1))
_share: Any = validators.and_(_positive, validators.le(1))


def _odd(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    """Validate kernel sizes; an even kernel would shift its output by half a position."""
    for size in value if isinstance(value, tuple) else (value,):
        if size < 1 or size % 2 == 0:
            raise ConfigError(
                f"{type(instance).__name__}.{attribute.name} must be odd and positive, got {value}"
            )


def _factors(instance: Any, attribute: Attribute[Any], value: float | tuple[float, ...]) -> None:
    """Validate one positive factor or several."""
    given = value if isinstance(value, tuple) else (value,)
    if not given or not all(0 < factor < math.inf for factor in given):
        raise ConfigError(
            f"{attribute.name} must be a positive finite number or several, got {value}"
        )


@frozen(kw_only=True)
class EncoderConfig:
    """Encoder of feed-forward transformer (FFT) blocks (FastSpeech, Ren et al. 2019, section 3.1).

    feed_forward_channels, kernel_sizes: of the two convolutions in each block.
    """

    layers: int = field(default=4, validator=_positive)
    heads: int = field(default=2, validator=_positive)
    feed_forward_channels: int = field(default=1024, validator=_positive)
    kernel_sizes: tuple[int, int] = field(default=(9, 1), validator=_odd)
    dropout: float = field(default=0.2, validator=_probability)


@frozen(kw_only=True)
class DecoderConfig(EncoderConfig):
    """Mel decoder of the same blocks."""

    layers: int = field(default=6, validator=_positive)


@frozen(kw_only=True)
class PredictorConfig:
    """Predictors of durations, pitch and energy: two convolutions each (section 2.3)."""

    channels: int = field(default=256, validator=_positive)
    kernel_size: int = field(default=3, validator=_odd)
    dropout: float = field(default=0.5, validator=_probability)


@frozen(kw_only=True)
class VarianceConfig:
    """Pitch or energy in the variance adaptor.

    level: whether to predict one value per phoneme or per frame.
    scale: whether values or their logarithms are averaged, normalised and predicted.
    bins: number of quantization bins, evenly spaced between the minimum and the maximum.
    """

    level: Literal["phoneme", "frame"] = "phoneme"
    scale: Literal["linear", "log"] = "linear"
    bins: int = field(default=256, validator=validators.ge(2))


@frozen(kw_only=True)
class PostnetConfig:
    """Convolutions that refine the mel (Tacotron 2, Shen et al. 2018, section 2.2).

    layers: 0 for no PostNet, as in the FastSpeech 2 paper.
    """

    layers: int = field(default=5, validator=_not_negative)
    channels: int = field(default=512, validator=_positive)
    kernel_size: int = field(default=5, validator=_odd)
    dropout: float = field(default=0.5, validator=_probability)


@frozen(kw_only=True)
class AlignerConfig:
    """Aligner of phonemes and frames ("One TTS Alignment To Rule Them All", 2021).

    embedding_channels: size of the aligner's own phoneme embedding.
    channels: channels of the common space of phonemes and frames.
    temperature: factor on their squared distance. With the paper's 5e-4, alignment of a small corpus takes
        many times as many steps.
    """

    embedding_channels: int = field(default=256, validator=_positive)
    channels: int = field(default=80, validator=_positive)
    temperature: float = field(default=0.05, validator=_positive)


@frozen(kw_only=True)
class FastSpeech2Config:
    """The model of Ren et al. 2021, `type = "fastspeech2"`.

    hidden_channels: hidden size of encoder, decoder and embeddings.
    durations: "learned" by an aligner that is trained jointly, or "stored" as the feature `durations`, from
        label files or another voice's alignments; then there is no aligner.
    """

    hidden_channels: int = field(default=256, validator=_positive)
    encoder: EncoderConfig = Factory(EncoderConfig)
    decoder: DecoderConfig = Factory(DecoderConfig)
    predictor: PredictorConfig = Factory(PredictorConfig)
    pitch: VarianceConfig = Factory(VarianceConfig)
    energy: VarianceConfig = Factory(VarianceConfig)
    postnet: PostnetConfig = Factory(PostnetConfig)
    durations: Literal["learned", "stored"] = "learned"
    aligner: AlignerConfig = Factory(AlignerConfig)

    def __attrs_post_init__(self) -> None:
        for name in ("encoder", "decoder"):
            heads = getattr(self, name).heads
            if self.hidden_channels % (2 * heads):
                raise ConfigError(
                    f"model.hidden_channels ({self.hidden_channels}) must be divisible by "
                    f"2 * model.{name}.heads ({2 * heads})"
                )


@frozen(kw_only=True)
class FastSpeech2Controls:
    """Synthesis controls, set per sentence.

    Each is one factor, one per word of the sentence, or one per phoneme as listed by `Voice.speak`.

    length_scale: factor on durations; 2 speaks half as fast. A phoneme lasts at least one frame.
    pitch: factor on the fundamental frequency in Hz.
    energy: factor on the magnitude.
    """

    length_scale: float | tuple[float, ...] = field(default=1.0, validator=_factors)
    pitch: float | tuple[float, ...] = field(default=1.0, validator=_factors)
    energy: float | tuple[float, ...] = field(default=1.0, validator=_factors)


@frozen(kw_only=True)
class FastSpeech2TrainerConfig:
    """FastSpeech 2 training, `type = "fastspeech2"`.

    learning_rate: peak learning rate of Adam with the Noam schedule: linear warmup over `warmup` steps, then
        inverse square root decay; multiplied by `anneal_rate` at each of `anneal_steps`.
    clip_norm: maximum norm of the gradients.
    *_weight: weights of the losses. `coarse_mel` is the mel before the PostNet; `alignment` and
        `binarisation` are the losses of the aligner.
    binarise_after: step from which the binarisation loss is used.
    freeze_aligner_after: step from which the aligner is not trained; None for never.
    """

    learning_rate: float = field(default=1e-3, validator=_positive)
    betas: tuple[float, float] = (0.9, 0.98)
    epsilon: float = field(default=1e-9, validator=_positive)
    warmup: int = field(default=4000, validator=_positive)
    anneal_steps: tuple[int, ...] = (300_000, 400_000, 500_000)
    anneal_rate: float = field(default=0.3, validator=_share)
    clip_norm: float = field(default=1.0, validator=_positive)
    mel_weight: float = field(default=1.0, validator=_not_negative)
    coarse_mel_weight: float = field(default=1.0, validator=_not_negative)
    duration_weight: float = field(default=1.0, validator=_not_negative)
    pitch_weight: float = field(default=1.0, validator=_not_negative)
    energy_weight: float = field(default=1.0, validator=_not_negative)
    alignment_weight: float = field(default=1.0, validator=_not_negative)
    binarisation_weight: float = field(default=1.0, validator=_not_negative)
    binarise_after: int = field(default=5000, validator=_not_negative)
    freeze_aligner_after: int | None = field(default=None, validator=validators.optional(_positive))
