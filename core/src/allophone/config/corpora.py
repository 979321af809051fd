"""Names and sampling weights of the corpora of an experiment."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from allophone.config.converting import unstructure
from allophone.config.experiment import Experiment
from allophone.registry import Registry


@frozen(kw_only=True)
class NamedCorpus:
    """One table of `[[data.corpora]]`.

    name: the type, numbered if several corpora have it: "library", "table1", "table2".
    """

    name: str
    type: str
    config: Any

    @property
    def weight(self) -> float:
        """How often each utterance occurs in an epoch, on average."""
        weight: float = getattr(self.config, "weight", 1.0)
        return weight


def named_corpora(experiment: Experiment, registry: Registry) -> tuple[NamedCorpus, ...]:
    """Return the corpora of an experiment, in the order of their tables."""
    tables = unstructure(experiment.data, registry=registry)["corpora"]
    types = [table["type"] for table in tables]
    return tuple(
        NamedCorpus(
            name=kind if types.count(kind) == 1 else f"{kind}{types[: index + 1].count(kind)}",
            type=kind,
            config=config,
        )
        for index, (kind, config) in enumerate(zip(types, experiment.data.corpora, strict=True))
    )
