"""The configuration of FastSpeech 2: the tables `[model]` and `[trainer]` of an experiment.

The defaults are those of its most used implementation (github.com/ming024/FastSpeech2), which Amphion
follows: a PostNet, and pitch and energy a phoneme. Light: attrs alone.
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
    """Even kernels would shift what they filter by half a position."""
    for size in value if isinstance(value, tuple) else (value,):
        if size < 1 or size % 2 == 0:
            raise ConfigError(
                f"{type(instance).__name__}.{attribute.name} must be odd and positive, not {value}"
            )


def _factors(instance: Any, attribute: Attribute[Any], value: float | tuple[float, ...]) -> None:
    """One positive factor, or several."""
    given = value if isinstance(value, tuple) else (value,)
    if not given or not all(0 < factor < math.inf for factor in given):
        raise ConfigError(f"{attribute.name} must be a positive factor or several, not {value}")


@frozen(kw_only=True)
class EncoderConfig:
    """Feed-forward transformer blocks (FastSpeech, Ren et al. 2019, section 3.1) over the text.

    feed_forward_channels, kernel_sizes: of the two convolutions after each attention.
    """

    layers: int = field(default=4, validator=_positive)
    heads: int = field(default=2, validator=_positive)
    feed_forward_channels: int = field(default=1024, validator=_positive)
    kernel_sizes: tuple[int, int] = field(default=(9, 1), validator=_odd)
    dropout: float = field(default=0.2, validator=_probability)


@frozen(kw_only=True)
class DecoderConfig(EncoderConfig):
    """The same blocks over the frames."""

    layers: int = field(default=6, validator=_positive)


@frozen(kw_only=True)
class PredictorConfig:
    """The two convolutions that predict durations, pitch and energy (section 2.3)."""

    channels: int = field(default=256, validator=_positive)
    kernel_size: int = field(default=3, validator=_odd)
    dropout: float = field(default=0.5, validator=_probability)


@frozen(kw_only=True)
class VarianceConfig:
    """How pitch, or energy, is told to the decoder.

    level: a value for each phoneme, or for each frame.
    scale: what is averaged, normalised and predicted: the value itself or its logarithm.
    bins: how many values are told apart; they lie evenly between the least and the greatest.
    """

    level: Literal["phoneme", "frame"] = "phoneme"
    scale: Literal["linear", "log"] = "linear"
    bins: int = field(default=256, validator=validators.ge(2))


@frozen(kw_only=True)
class PostnetConfig:
    """Convolutions that refine the mel (Tacotron 2, Shen et al. 2018, section 2.2).

    layers: 0 leaves the PostNet out, as the paper of FastSpeech 2 does.
    """

    layers: int = field(default=5, validator=_not_negative)
    channels: int = field(default=512, validator=_positive)
    kernel_size: int = field(default=5, validator=_odd)
    dropout: float = field(default=0.5, validator=_probability)


@frozen(kw_only=True)
class AlignerConfig:
    """What learns which frame says which phoneme ("One TTS Alignment To Rule Them All", 2021).

    embedding_channels: of the phonemes' embedding, which the aligner has for itself.
    channels: of the space in which phonemes and frames are compared.
    temperature: factor on their squared distance. With the paper's 5e-4, a small corpus takes many times
        as many steps until it is aligned.
    """

    embedding_channels: int = field(default=256, validator=_positive)
    channels: int = field(default=80, validator=_positive)
    temperature: float = field(default=0.05, validator=_positive)


@frozen(kw_only=True)
class FastSpeech2Config:
    """The model of Ren et al. 2021, `type = "fastspeech2"`.

    hidden_channels: of the text, the frames and the speakers' embedding between all parts.
    durations: "learned" by the aligner in the same training, or "stored" as the feature `durations`,
        which the labels of a corpus or another voice's alignments give; then there is no aligner.
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
                    f"model.hidden_channels ({self.hidden_channels}) cannot be divided evenly among "
                    f"model.{name}.heads ({heads})"
                )


@frozen(kw_only=True)
class FastSpeech2Controls:
    """What a speaker of text may set, sentence by sentence.

    Each is a factor, or several: one for each word of the sentence, or one for each of its phonemes,
    as `Voice.speak` lists them.

    length_scale: on durations; 2 speaks half as fast. No phoneme lasts less than a frame.
    pitch: on the fundamental frequency in Hz.
    energy: on the magnitude.
    """

    length_scale: float | tuple[float, ...] = field(default=1.0, validator=_factors)
    pitch: float | tuple[float, ...] = field(default=1.0, validator=_factors)
    energy: float | tuple[float, ...] = field(default=1.0, validator=_factors)


@frozen(kw_only=True)
class FastSpeech2TrainerConfig:
    """How FastSpeech 2 is trained, `type = "fastspeech2"`.

    learning_rate: the highest, which Adam has after `warmup` steps; it rises evenly and falls with
        the inverse square root (Noam), and is multiplied by `anneal_rate` at each of `anneal_steps`.
    clip_norm: of the gradients.
    *_weight: of the losses; `coarse_mel` is before the PostNet, `alignment_weight` and `binarisation_weight` are the aligner's.
    binarise_after: steps after which the aligner is drawn towards hard decisions.
    freeze_aligner_after: steps after which its losses count no more; None lets it learn on.
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
