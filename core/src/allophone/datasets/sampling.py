"""The batch sampler that a [data.batching] table describes; its plans are checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import frozen

from allophone.data.batch_sampler import (
    BatchingConfig,
    BatchSampler,
    EpochPlan,
    SamplingContext,
)
from allophone.data.plans import check_plan
from allophone.errors import PluginError, UserError
from allophone.registry import Registry

T = TypeVar("T")

KIND = "batch_samplers"


@frozen(kw_only=True)
class CheckedSampler:
    """A batch sampler of a plugin with its plans checked; errors name the plugin.

    name: as `[data.batching]` has it.
    """

    name: str
    context: SamplingContext
    _sampler: BatchSampler
    _registry: Registry

    def epoch(self, number: int) -> EpochPlan:
        """Return the plan of an epoch. Raises PluginError if it breaks a rule."""

        def plan() -> EpochPlan:
            made = self._sampler.epoch(number)
            check_plan(made, self.context)
            return made

        where = f"epoch {number} of the split '{self.context.split}'"
        return _blamed(self.name, where, plan, self._registry)


def open_sampler(config: Any, context: SamplingContext, registry: Registry) -> CheckedSampler:
    """Build the batch sampler of a split.

    Raises UserError if an epoch has fewer utterances than ranks, or if the sampler cannot use them, and
    PluginError if the sampler fails.
    """
    _refuse_too_few(context)
    name = registry.entry_of(KIND, config).name
    build = registry.load(KIND, name, "sampler")

    def built() -> BatchSampler:
        if not isinstance(config, BatchingConfig):
            raise TypeError(f"{type(config).__qualname__} does not extend BatchingConfig")
        sampler: BatchSampler = build(config, context)
        return sampler

    sampler = _blamed(name, f"the split '{context.split}'", built, registry)
    return CheckedSampler(name=name, context=context, sampler=sampler, registry=registry)


def _blamed(name: str, where: str, make: Callable[[], T], registry: Registry) -> T:
    """Call `make`. Raises PluginError that names the sampler for any error except UserError."""
    try:
        return make()
    except UserError:
        raise
    except Exception as error:
        raise PluginError(
            registry.describe_failure(KIND, name, error, where=f" for {where}"),
            hint='Report it to its author, or choose another: [data.batching] type = "length-buckets". The '
            "rules of a plan are in allophone.data.batch_sampler.",
        ) from error


def _refuse_too_few(context: SamplingContext) -> None:
    count, places = len(context.utterances), sum(context.weights)
    if min(count, places) < context.ranks:
        weighted = "" if places == count else f" ({places:g} after weighting their corpora)"
        raise UserError(
            f"The split '{context.split}' has {count} utterances{weighted} for {context.ranks} ranks; each "
            "rank needs at least one.",
            hint=f"Enlarge the split (data.splits.{context.split}), or use fewer devices.",
        )
