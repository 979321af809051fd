"""The formats of other programs that plugins import from and export to.

They hang on the records of the models and vocoders that they belong to, and are named after both:
"<family>.<format>".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen

from allophone.entries import ExporterEntry, ImporterEntry
from allophone.registry import Registry

_log = logging.getLogger(__name__)


@frozen(kw_only=True)
class Format:
    """A format as one plugin has it: the entry of an importer or exporter on that of a model or vocoder."""

    offered: Literal["models", "vocoders"]
    family: str
    kind: Literal["importers", "exporters"]
    entry: ImporterEntry | ExporterEntry
    registry: Registry = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.family}.{self.entry.name}"

    def load(self, attribute: str) -> Callable[..., Any]:
        """Import what the record refers to; PluginError where that fails."""
        function: Callable[..., Any] = self.registry.load(
            self.offered, self.family, f"{self.kind}.{self.entry.name}.{attribute}"
        )
        return function


def formats(kind: Literal["importers", "exporters"], registry: Registry) -> Iterator[Format]:
    """All formats that the plugins import or export."""
    each: tuple[Literal["models", "vocoders"], ...] = ("models", "vocoders")
    for offered in each:
        for family, record in registry.entries(offered).items():
            for entry in getattr(record, kind, ()):
                yield Format(
                    offered=offered, family=family, kind=kind, entry=entry, registry=registry
                )


def recognising(place: Path, candidates: Iterable[Format]) -> Iterator[Format]:
    """Those of the candidates that `place` looks like; one that fails to say does not stop the others."""
    for format in candidates:
        try:
            recognised = bool(format.load("recognises")(place))
        except Exception as error:
            _log.warning("%s cannot tell whether it reads %s: %s", format.name, place, error)
            continue
        if recognised:
            yield format
