"""The config of the batch sampler `length-buckets`. Light."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen, validators

from allophone.data.batch_sampler import BatchingConfig

_positive: Any = validators.gt(0)


@frozen(kw_only=True)
class LengthBucketsConfig(BatchingConfig):
    """Batches of utterances of similar length.

    max_seconds: audio per batch on one device, including padding.
    max_utterances: the maximum number of utterances per batch.
    buckets: the number of length buckets.
    """

    max_seconds: float = field(default=120.0, validator=_positive)
    max_utterances: int = field(default=32, validator=_positive)
    buckets: int = field(default=16, validator=_positive)
