"""The formats of other programs that plugins import from and export to.

They hang on the records of the models and vocoders that they belong to, and are named after both:
"<family>.<format>".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from attrs import frozen

from allophone.entries import ExporterEntry, ImporterEntry
from allophone.errors import PluginError
from allophone.registry import Registry

_log = logging.getLogger(__name__)


@frozen(kw_only=True)
class Format:
    """A format as one plugin has it."""

    family: str
    entry: ImporterEntry | ExporterEntry

    @property
    def name(self) -> str:
        return f"{self.family}.{self.entry.name}"

    def load(self, attribute: str) -> Callable[..., Any]:
        """Import what the record refers to; PluginError where that fails."""
        try:
            function: Callable[..., Any] = getattr(self.entry, attribute).load()
        except (ImportError, AttributeError) as error:
            raise PluginError(
                f"What reads and writes {self.name} does not load: {type(error).__name__}: {error}",
                hint="Install what it needs, or leave its plugin out: ALLOPHONE_DISABLE_PLUGINS.",
            ) from error
        return function


def formats(kind: Literal["importers", "exporters"], registry: Registry) -> Iterator[Format]:
    """All formats that the plugins import or export."""
    for offered in ("models", "vocoders"):
        for family, record in registry.entries(offered).items():
            for entry in getattr(record, kind, ()):
                yield Format(family=family, entry=entry)


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
