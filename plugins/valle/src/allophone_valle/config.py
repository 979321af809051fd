"""The configuration of VALL-E: the table `[model]`, those of its two trainers, and what a voice lets be set.

The defaults are those of the paper (Wang et al. 2023, arXiv 2301.02111, sections 4 and 5.1) as its public
implementations have them. Light: attrs alone.
"""

from __future__ import annotations

from typing import Any, Literal

from attrs import Attribute, Factory, field, frozen, validators

from allophone.errors import ConfigError
from allophone_valle.codec_config import CodecConfig

_positive: Any = validators.gt(0)
_not_negative: Any = validators.ge(0)
_probability: Any = validators.and_(validators.ge(0), validators.lt(1))
_share: Any = validators.and_(_positive, validators.le(1))
_optional_positive: Any = validators.optional(_positive)
_optional_not_negative: Any = validators.optional(_not_negative)

PromptMode = Literal["none", "prefix", "segment", "neighbour"]
"""What the NAR model is given to hear of the speaker; the public implementations call them 0, 1, 2, 4."""


def _range(instance: Any, attribute: Attribute[Any], value: tuple[float, float]) -> None:
    if not 0 < value[0] <= value[1]:
        raise ConfigError(f"model.{attribute.name} must be a least and a greatest, not {value}")


@frozen(kw_only=True)
class TransformerConfig:
    """Pre-norm transformer blocks (Vaswani et al. 2017), as both models have them.

    channels: of the hidden states; feed_forward_channels: between the two layers after an attention.
    """

    channels: int = field(default=1024, validator=_positive)
    layers: int = field(default=12, validator=_positive)
    heads: int = field(default=16, validator=_positive)
    feed_forward_channels: int = field(default=4096, validator=_positive)
    dropout: float = field(default=0.1, validator=_probability)

    def __attrs_post_init__(self) -> None:
        if self.channels % (2 * self.heads):
            raise ConfigError(
                f"model: {self.channels} channels cannot be divided evenly among {self.heads} heads"
            )


@frozen(kw_only=True)
class ArConfig(TransformerConfig):
    """The autoregressive model of the first codebook (section 4.2.1).

    begin_symbol: whether codes begin with a symbol of their own. Without it the first code of a recording
        is never predicted, and nothing is said without a prompt.
    group_size: how many codes are predicted in a step (VALL-E 2, Chen et al. 2024).
    """

    begin_symbol: bool = True
    group_size: Literal[1, 2, 4] = 1


@frozen(kw_only=True)
class NarConfig(TransformerConfig):
    """The non-autoregressive model of the other codebooks (section 4.2.2).

    prompt: what it hears of the speaker, as the sum of all its codebooks: "none"; the "prefix" of the
        utterance itself, which need not be predicted; a "segment" from anywhere in it, put before it; or
        a stretch of a "neighbour", another utterance of the same speaker, put before it.
    """

    prompt: PromptMode = "prefix"


@frozen(kw_only=True)
class ValleConfig:
    """The models of Wang et al. 2023, `type = "valle"`.

    codec: what makes codes of recordings and recordings of codes.
    codebooks, bins: how many codebooks of how many entries are modelled; the codec must have as many.
    prompt_seconds: how short and how long a prompt may be.
    """

    codec: CodecConfig = Factory(CodecConfig)
    codebooks: int = field(default=8, validator=validators.ge(2))
    bins: int = field(default=1024, validator=validators.ge(2))
    ar: ArConfig = Factory(ArConfig)
    nar: NarConfig = Factory(NarConfig)
    prompt_seconds: tuple[float, float] = field(default=(1.0, 15.0), validator=_range)

    def check_codes(self, *, codebooks: int, bins: int) -> None:
        """ConfigError unless a codec has as many codebooks, of as many entries, as are modelled."""
        if (codebooks, bins) != (self.codebooks, self.bins):
            raise ConfigError(
                f"The codec has {codebooks} codebooks of {bins} entries, but model.codebooks is "
                f"{self.codebooks} and model.bins {self.bins}.",
                hint=f"Set model.codebooks to {codebooks} and model.bins to {bins}, or choose another "
                "codec.",
            )


@frozen(kw_only=True)
class OptimizerConfig:
    """AdamW, whose rate rises evenly for `warmup` steps and then falls along a cosine.

    learning_rate: the highest.
    decay_steps: the step at which the cosine arrives at zero; None keeps the highest rate.
    clip_norm: of the gradients.
    """

    learning_rate: float = field(default=5e-4, validator=_positive)
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = field(default=0.01, validator=_not_negative)
    warmup: int = field(default=16_000, validator=_positive)
    decay_steps: int | None = field(default=800_000, validator=_optional_positive)
    clip_norm: float = field(default=1.0, validator=_positive)


@frozen(kw_only=True)
class ValleArTrainerConfig(OptimizerConfig):
    """How the first codebook is learned, `type = "valle.ar"`."""


@frozen(kw_only=True)
class ValleNarTrainerConfig(OptimizerConfig):
    """How the other codebooks are learned, `type = "valle.nar"`.

    prompt_seconds: the longest prompt; section 5.1 has three seconds.
    """

    prompt_seconds: float = field(default=3.0, validator=_positive)


@frozen(kw_only=True)
class ValleControls:
    """What a speaker of text may set.

    temperature: of the distribution that codes are drawn from; 0 always takes the likeliest.
    top_k: how many of the likeliest codes may be drawn; None for all.
    top_p: the share of probability that the likeliest codes have together which may be drawn.
    repetition_threshold: where a drawn code makes up more than this share of the last
        `repetition_window` codes, another is drawn out of all (VALL-E 2); None never does.
        Implementations that do so when it has as much as the share are had by a slightly lower one.
    min_ratio, max_ratio: the fewest and the most frames for each id of the text.
    max_seconds: the longest that a sentence may become, whatever its text.
    """

    temperature: float = field(default=1.0, validator=_not_negative)
    top_k: int | None = field(default=None, validator=_optional_positive)
    top_p: float = field(default=0.9, validator=_share)
    repetition_threshold: float | None = field(default=0.1, validator=_optional_not_negative)
    repetition_window: int = field(default=10, validator=_positive)
    min_ratio: float = field(default=0.5, validator=_not_negative)
    max_ratio: float = field(default=16.0, validator=_positive)
    max_seconds: float = field(default=30.0, validator=_positive)
