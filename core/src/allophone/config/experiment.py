"""One experiment: the whole of a TOML file, typed.

    [[data.corpora]] [data] [text] [audio] [features.*] [model] or [vocoder] [trainer] [runtime]

Every table is a frozen attrs class. What a plugin offers (a corpus, an extractor, a model, a trainer)
is a table with `type = "..."`, whose class is the plugin's own; the core never reads its fields.
Light: attrs only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import Factory, field, frozen, validators

from allophone.audio.melspec import MelSpec
from allophone.data.batching import LengthBucketsConfig
from allophone.entries import pluggable
from allophone.errors import ConfigError
from allophone.text.config import TextConfig

_positive: Any = validators.gt(0)
_optional_positive: Any = validators.optional(_positive)


@frozen(kw_only=True)
class SplitsConfig:
    """How utterances without a split of their own are shared out, by a seeded hash of their ids.

    valid, test: a share of all utterances when below 1, a count otherwise. A corpus that publishes such
        a split is given no other.
    golden_test: ids named by the user, or how many of `test` to set apart for listening.
    """

    valid: float = field(default=0.02, validator=validators.ge(0))
    test: float = field(default=0.02, validator=validators.ge(0))
    golden_test: tuple[str, ...] | int = 4
    seed: int = 0


@frozen(kw_only=True)
class LimitsConfig:
    """What is too short or too long to train on; None means no limit. What is left out is named."""

    min_seconds: float | None = field(default=0.4, validator=_optional_positive)
    max_seconds: float | None = field(default=20.0, validator=_optional_positive)
    max_symbols: int | None = field(default=None, validator=_optional_positive)


@frozen(kw_only=True)
class DataConfig:
    """Where the recordings come from, and where what is made of them is kept.

    directory: holds `manifest.jsonl` and the feature store.
    labels: a folder with the times of phones, `<id>.TextGrid` or `<id>.lab`, in it or in a folder of
        the speaker's name, as the Montreal Forced Aligner leaves them. They take the place of a
        corpus's own.
    batching: how utterances are put together to batches, by which batch sampler.
    trim_db: cut leading and trailing silence that lies this far below the peak; None keeps it.
    """

    directory: str = "data"
    corpora: tuple[Any, ...] = pluggable("corpora", many="list")
    labels: str | None = None
    splits: SplitsConfig = Factory(SplitsConfig)
    limits: LimitsConfig = Factory(LimitsConfig)
    batching: Any = pluggable("batch_samplers", default=LengthBucketsConfig)
    trim_db: float | None = field(default=None, validator=_optional_positive)


@frozen(kw_only=True)
class KeepConfig:
    """Which checkpoints stay: the last few, every so many steps, and the best by a metric.

    best_metric: a validation metric, of which the lowest value is best, such as "mel_loss"; or a score of a
        metric in `[runtime.metrics]`, which says what is best. None keeps no best.
    """

    last: int = field(default=2, validator=_positive)
    every: int | None = field(default=None, validator=_optional_positive)
    best_metric: str | None = None


@frozen(kw_only=True)
class RuntimeConfig:
    """How an experiment is run: everything but the model and its objective.

    precision: "bf16" and "fp16" are autocast; fp16 scales its gradients.
    accumulate: batches an optimizer step is made of.
    clip_norm: the gradient norm above which an optimizer's gradients are scaled down, unless its plan
        says otherwise; None clips nothing.
    ema_decay: keep a moving average of the weights, used for validation, samples and voices.
    max_steps: optimizer steps; None trains until it is stopped.
    log_every, validate_every, sample_every, checkpoint_every: strides in optimizer steps.
    samples: how many validation utterances are shown in TensorBoard, as audio and images.
    metrics: evaluation metrics of these samples, computed at each validation, by name.
    """

    seed: int = 0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    accumulate: int = field(default=1, validator=_positive)
    clip_norm: float | None = field(default=None, validator=_optional_positive)
    ema_decay: float | None = field(
        default=None, validator=validators.optional(validators.and_(_positive, validators.lt(1)))
    )
    compile: bool = False
    max_steps: int | None = field(default=None, validator=_optional_positive)
    log_every: int = field(default=50, validator=_positive)
    validate_every: int = field(default=1000, validator=_positive)
    sample_every: int = field(default=1000, validator=_positive)
    samples: int = field(default=3, validator=validators.ge(0))
    metrics: Mapping[str, Any] = pluggable("metrics", many="table")
    checkpoint_every: int = field(default=1000, validator=_positive)
    keep: KeepConfig = Factory(KeepConfig)


@frozen(kw_only=True)
class Experiment:
    """Everything that decides what a run does.

    features: what is extracted and stored, by the name that batches know it by.
    model, vocoder: what is trained is one of the two; the trainer says which.
    """

    data: DataConfig = Factory(DataConfig)
    text: TextConfig = Factory(TextConfig)
    audio: MelSpec = Factory(MelSpec)
    features: Mapping[str, Any] = pluggable("feature_extractors", many="table")
    model: Any = pluggable("models")
    vocoder: Any = pluggable("vocoders")
    trainer: Any = pluggable("trainers")
    runtime: RuntimeConfig = Factory(RuntimeConfig)

    def __attrs_post_init__(self) -> None:
        if self.model is not None and self.vocoder is not None:
            raise ConfigError(
                "There is a table [model] and a table [vocoder], and an experiment trains one of them.",
                hint="Train each in an experiment of its own: they meet when a voice speaks.",
            )

    @property
    def reads_text(self) -> bool:
        """Whether symbols and speakers matter to what is trained; a vocoder knows neither."""
        return self.vocoder is None
