"""Configuration of VALL-E: the tables `[model]` and `[trainer]`, and the controls of a voice.

The defaults are those of the paper (Wang et al. 2023, arXiv 2301.02111, sections 4 and 5.1) and its public
implementations. Imports no torch.
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
"""Speaker prompt of the NAR model; `prefix_mode` 0, 1, 2 and 4 in the public implementations."""


def _range(instance: Any, attribute: Attribute[Any], value: tuple[float, float]) -> None:
    if not 0 < value[0] <= value[1]:
        raise ConfigError(
            f"model.{attribute.name} must be [minimum, maximum] with 0 < minimum <= maximum, got {value}"
        )


@frozen(kw_only=True)
class TransformerConfig:
    """Pre-norm transformer, shared by both models.

    channels: hidden size; feed_forward_channels: inner size of the feed-forward layers.
    """

    channels: int = field(default=1024, validator=_positive)
    layers: int = field(default=12, validator=_positive)
    heads: int = field(default=16, validator=_positive)
    feed_forward_channels: int = field(default=4096, validator=_positive)
    dropout: float = field(default=0.1, validator=_probability)

    def __attrs_post_init__(self) -> None:
        if self.channels % (2 * self.heads):
            raise ConfigError(
                f"model: channels ({self.channels}) must be divisible by 2 * heads ({2 * self.heads})"
            )


@frozen(kw_only=True)
class ArConfig(TransformerConfig):
    """Autoregressive model of the first codebook (section 4.2.1).

    begin_symbol: whether code sequences start with a BOS symbol. Without it the first code is never
        predicted, and synthesis needs a prompt.
    group_size: codes predicted per step (VALL-E 2, Chen et al. 2024).
    """

    begin_symbol: bool = True
    group_size: Literal[1, 2, 4] = 1


@frozen(kw_only=True)
class NarConfig(TransformerConfig):
    """Non-autoregressive model of the other codebooks (section 4.2.2).

    prompt: speaker prompt in training, with all codebooks visible: "none"; the "prefix" of the utterance,
        which has no loss; a random "segment" of the utterance, prepended to it; or a segment of a
        "neighbour", another utterance of the same speaker, prepended to it.
    """

    prompt: PromptMode = "prefix"


@frozen(kw_only=True)
class ValleConfig:
    """The models of Wang et al. 2023, `type = "valle"`.

    codec: the codec whose codes are modelled.
    codebooks, bins: number of codebooks and entries per codebook; must match the codec.
    prompt_seconds: minimum and maximum duration of a prompt in synthesis.
    """

    codec: CodecConfig = Factory(CodecConfig)
    codebooks: int = field(default=8, validator=validators.ge(2))
    bins: int = field(default=1024, validator=validators.ge(2))
    ar: ArConfig = Factory(ArConfig)
    nar: NarConfig = Factory(NarConfig)
    prompt_seconds: tuple[float, float] = field(default=(1.0, 15.0), validator=_range)

    def check_codes(self, *, codebooks: int, bins: int) -> None:
        """Raise ConfigError unless the codec's numbers of codebooks and bins match the model's."""
        if (codebooks, bins) != (self.codebooks, self.bins):
            raise ConfigError(
                f"The codec has {codebooks} codebooks of {bins} entries, but model.codebooks is "
                f"{self.codebooks} and model.bins {self.bins}.",
                hint=f"Set model.codebooks to {codebooks} and model.bins to {bins}, or choose another "
                "codec.",
            )


@frozen(kw_only=True)
class OptimizerConfig:
    """AdamW with linear warmup and cosine decay.

    learning_rate: peak learning rate.
    warmup: warmup steps.
    decay_steps: step at which the cosine reaches zero; None keeps the peak rate after warmup.
    clip_norm: maximum norm of the gradients.
    """

    learning_rate: float = field(default=5e-4, validator=_positive)
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = field(default=0.01, validator=_not_negative)
    warmup: int = field(default=16_000, validator=_positive)
    decay_steps: int | None = field(default=800_000, validator=_optional_positive)
    clip_norm: float = field(default=1.0, validator=_positive)


@frozen(kw_only=True)
class ValleArTrainerConfig(OptimizerConfig):
    """Training of the AR model, `type = "valle.ar"`."""


@frozen(kw_only=True)
class ValleNarTrainerConfig(OptimizerConfig):
    """Training of the NAR model, `type = "valle.nar"`.

    prompt_seconds: maximum duration of a prompt; 3 s in section 5.1.
    """

    prompt_seconds: float = field(default=3.0, validator=_positive)


@frozen(kw_only=True)
class ValleControls:
    """Synthesis controls.

    temperature: sampling temperature; 0 is greedy decoding.
    top_k: sample from the k most likely codes; None for all.
    top_p: sample from the smallest set of most likely codes with this total probability.
    repetition_threshold: repetition-aware sampling (VALL-E 2): a sampled code that makes up more than this
        share of the last `repetition_window` codes is sampled again from all codes; None disables it.
        Implementations that test for "at least" correspond to a slightly lower threshold.
    min_ratio, max_ratio: minimum and maximum number of frames per id of the text.
    max_seconds: maximum duration of a sentence.
    """

    temperature: float = field(default=1.0, validator=_not_negative)
    top_k: int | None = field(default=None, validator=_optional_positive)
    top_p: float = field(default=0.9, validator=_share)
    repetition_threshold: float | None = field(default=0.1, validator=_optional_not_negative)
    repetition_window: int = field(default=10, validator=_positive)
    min_ratio: float = field(default=0.5, validator=_not_negative)
    max_ratio: float = field(default=16.0, validator=_positive)
    max_seconds: float = field(default=30.0, validator=_positive)
