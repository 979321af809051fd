"""The formats that plugins can import and export.

Importers and exporters belong to the entry of a model or vocoder; their names are "<family>.<format>".
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
    """An importer or exporter, and the family of models or vocoders that it belongs to."""

    offered: Literal["models", "vocoders"]
    family: str
    kind: Literal["importers", "exporters"]
    entry: ImporterEntry | ExporterEntry
    registry: Registry = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.family}.{self.entry.name}"

    def load(self, attribute: str) -> Callable[..., Any]:
        """Import a function that the entry refers to; PluginError if the import fails."""
        function: Callable[..., Any] = self.registry.load(
            self.offered, self.family, f"{self.kind}.{self.entry.name}.{attribute}"
        )
        return function


def formats(kind: Literal["importers", "exporters"], registry: Registry) -> Iterator[Format]:
    """Iterate over all formats that the plugins can import or export."""
    each: tuple[Literal["models", "vocoders"], ...] = ("models", "vocoders")
    for offered in each:
        for family, record in registry.entries(offered).items():
            for entry in getattr(record, kind, ()):
                yield Format(
                    offered=offered, family=family, kind=kind, entry=entry, registry=registry
                )


def recognising(place: Path, candidates: Iterable[Format]) -> Iterator[Format]:
    """Filter the formats that recognise `place`; one that raises is skipped with a warning."""
    for format in candidates:
        try:
            recognised = bool(format.load("recognises")(place))
        except Exception as error:
            _log.warning("%s failed to check whether it can read %s: %s", format.name, place, error)
            continue
        if recognised:
            yield format
