"""The typed configuration of one experiment, as read from a TOML file.

    [[data.corpora]] [data] [text] [audio] [features.*] [model] or [vocoder] [trainer] [runtime]

Every table is a frozen attrs class. A component from a plugin (corpus, feature extractor, model, trainer)
is a table with `type = "..."`; the plugin defines its class, and the core never reads its fields.
Imports attrs only.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal

from attrs import Factory, field, frozen, validators

from allophone.audio.melspec import MelSpec
from allophone.data.batching import LengthBucketsConfig
from allophone.errors import ConfigError
from allophone.fields import pluggable
from allophone.text.config import TextConfig

_log = logging.getLogger(__name__)

_positive: Any = validators.gt(0)
_optional_positive: Any = validators.optional(_positive)


def _seed(instance: object, attribute: Any, value: int) -> None:
    if not 0 <= value < 2**32:
        raise ValueError(f"seed must be at least 0 and at most {2**32 - 1}, not {value}")


def _count_if_whole(value: float) -> float:
    """Configurations written by older versions have counts as 20.0."""
    if not (isinstance(value, float) and value > 1 and value.is_integer()):
        return value
    _log.warning(
        "[data.splits]: %s is a count of %d utterances; write it as %d.", value, value, value
    )
    return int(value)


def _share_or_count(instance: object, attribute: Any, value: float) -> None:
    if value < 0 or (isinstance(value, float) and value >= 1):
        raise ValueError(
            f"{attribute.name} must be a share of at least 0 and below 1, as in 0.02, or a count, as in 20; "
            f"it is {value!r}"
        )


def _ids_or_count(instance: object, attribute: Any, value: tuple[str, ...] | int) -> None:
    if isinstance(value, int) and value < 0:
        raise ValueError(f"{attribute.name} must be a list of ids or a count, not {value}")


@frozen(kw_only=True)
class SplitsConfig:
    """How utterances without a published split are assigned to one, by a seeded hash of their ids.

    valid, test: a fraction of all utterances, below 1, or a count, a whole number. Not applied to a corpus that
        publishes this split.
    golden_test: ids of utterances to reserve for listening, or how many to take from `test`.
    """

    valid: int | float = field(default=0.02, converter=_count_if_whole, validator=_share_or_count)
    test: int | float = field(default=0.02, converter=_count_if_whole, validator=_share_or_count)
    golden_test: tuple[str, ...] | int = field(default=4, validator=_ids_or_count)
    seed: int = field(default=0, validator=_seed)

    def __attrs_post_init__(self) -> None:
        if self.valid < 1 and self.test < 1 and self.valid + self.test >= 1:
            raise ValueError(
                f"valid ({self.valid:g}) and test ({self.test:g}) are shares that leave nothing to train on"
            )


@frozen(kw_only=True)
class LimitsConfig:
    """Shortest and longest utterances to train on; None means no limit. Dropped ones are reported."""

    min_seconds: float | None = field(default=0.4, validator=_optional_positive)
    max_seconds: float | None = field(default=20.0, validator=_optional_positive)
    max_symbols: int | None = field(default=None, validator=_optional_positive)


@frozen(kw_only=True)
class DataConfig:
    """The corpora, and the directory of the manifest and the features.

    directory: holds `manifest.jsonl` and the feature store.
    labels: folder of phone alignments, `<id>.TextGrid` or `<id>.lab`, directly or in one folder per
        speaker, as written by the Montreal Forced Aligner. They replace the alignments of the corpus.
    batching: the batch sampler, which groups utterances into batches.
    trim_db: trim leading and trailing silence more than this far below the peak; None disables trimming.
    exclude: ids of utterances to leave out.
    """

    directory: str = "data"
    corpora: tuple[Any, ...] = pluggable("corpora", many="list")
    labels: str | None = None
    splits: SplitsConfig = Factory(SplitsConfig)
    limits: LimitsConfig = Factory(LimitsConfig)
    batching: Any = pluggable("batch_samplers", default=LengthBucketsConfig)
    trim_db: float | None = field(default=None, validator=_optional_positive)
    exclude: tuple[str, ...] = ()


@frozen(kw_only=True)
class KeepConfig:
    """Which checkpoints to keep: the last few, one every so many steps, and the best by a metric.

    last: how many of the latest to keep.
    every: also keep those whose step is a multiple of this; None for none.
    best_metric: also keep the best one by this metric: a validation metric, lower is better, such as
        "mel_loss", or a score of a metric in `[runtime.metrics]`, which says what is better. None for none.
    """

    last: int = field(default=2, validator=_positive)
    every: int | None = field(default=None, validator=_optional_positive)
    best_metric: str | None = None


@frozen(kw_only=True)
class ParametersConfig:
    """How the parameters with matching names learn; the last rule that matches a parameter applies.

    match: pattern of names as in checkpoints, such as "generator.flow.*"; `*` matches any characters.
    frozen: never learn.
    frozen_until: learn from this step on.
    learning_rate_factor: factor for the trainer's learning rate.
    """

    match: str
    frozen: bool = False
    frozen_until: int = field(default=0, validator=validators.ge(0))
    learning_rate_factor: float = field(default=1.0, validator=_positive)


@frozen(kw_only=True)
class EarlyStopConfig:
    """When to end a training that no longer improves.

    metric: a validation metric, lower is better, or a score of a metric in `[runtime.metrics]`, which says
        what is better.
    patience: number of validations without an improvement after which training ends.
    min_delta: smallest difference that counts as an improvement.
    """

    metric: str
    patience: int = field(default=10, validator=_positive)
    min_delta: float = field(default=0.0, validator=validators.ge(0))


@frozen(kw_only=True)
class RuntimeConfig:
    """Settings of the training run that do not depend on the model or its objective.

    precision: "bf16" and "fp16" use autocast; "fp16" also uses gradient scaling.
    accumulate: number of batches whose gradients are accumulated for an optimizer step.
    clip_norm: maximum gradient norm, unless the optimizer's plan sets one; None disables clipping.
    warmup_steps: number of steps over which learning rates rise linearly to those of the trainer.
    parameters: rules for the parameters with matching names: learning rates, and what is frozen until when.
    ema_decay: decay of the moving average of the weights, which is used for validation, samples and
        voices; None disables it.
    compile: compile the modules with `torch.compile`.
    max_steps: number of optimizer steps; None trains until stopped.
    log_every, validate_every, sample_every, checkpoint_every: intervals in optimizer steps.
    samples: number of validation utterances logged to TensorBoard as audio and images.
    metrics: evaluation metrics of these samples, computed at each validation, by name.
    early_stop: ends the training when a validation metric no longer improves; None for no such end.
    """

    seed: int = field(default=0, validator=_seed)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    accumulate: int = field(default=1, validator=_positive)
    clip_norm: float | None = field(default=None, validator=_optional_positive)
    warmup_steps: int = field(default=0, validator=validators.ge(0))
    parameters: tuple[ParametersConfig, ...] = ()
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
    early_stop: EarlyStopConfig | None = None
    keep: KeepConfig = Factory(KeepConfig)


@frozen(kw_only=True)
class Experiment:
    """The complete configuration of a run.

    features: feature extractors by name; a batch holds the features under the same names.
    model, vocoder: at most one of the two; it is what the trainer trains.
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
                "The experiment has both [model] and [vocoder]; it can train only one of them.",
                hint="Train each in its own experiment. They are combined for synthesis.",
            )

    @property
    def reads_text(self) -> bool:
        """Whether training uses symbols and speakers; a vocoder uses neither."""
        return self.vocoder is None
