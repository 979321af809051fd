"""Exporting voices to the formats of other programs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from attrs import frozen

from allophone.entries import ExporterEntry
from allophone.errors import UserError, near_miss
from allophone.files.atomic import check_absent, sync_folder
from allophone.files.locks import name_locked
from allophone.files.system_errors import errors_naming
from allophone.inference.folder import StoredVoice
from allophone.inference.formats import Format
from allophone.inference.importing import find_or_import
from allophone.registry import Registry
from allophone.synthesis.engine import EngineOptions
from allophone.synthesis.loading import light_engine


@frozen(kw_only=True)
class Exported:
    """The result of an export.

    format: "<family>.<format>".
    written: the files or folders that were written, the voice itself first.
    """

    format: str
    written: tuple[Path, ...]


def export_voice(
    place: str | Path,
    destination: Path,
    format_name: str | None,
    registry: Registry,
    *,
    streaming: bool = False,
) -> Exported:
    """Export a voice, and load the result as a check if an installed engine can.

    place: a voice folder, a run, a checkpoint, or the name of an installed voice.
    format_name: "<format>"; may be None if the voice's family has only one.
    streaming: whether to export a form that can be streamed.

    The files appear only if the export succeeds. Raises UserError if `destination` exists, if the family does
    not have the format, and if the exporter rejects the voice.
    """
    voice = find_or_import(place, registry).read(registry)
    format = _choose(voice, format_name, registry)
    entry = format.entry
    assert isinstance(entry, ExporterEntry)
    if streaming and entry.streaming is None:
        raise UserError(
            f"The format {format.name} does not support streaming.",
            hint="Omit --streaming.",
        )
    check_absent(destination)
    hidden = f".{destination.name}."
    with (
        name_locked(destination),
        errors_naming(destination, destination.with_name(hidden)),
        tempfile.TemporaryDirectory(".tmp", hidden, destination.parent) as temporary,
    ):
        check_absent(destination)
        made = Path(temporary) / destination.name
        format.load("streaming" if streaming else "exporter")(voice, made)
        _check(made, registry)
        beside = sorted(path.name for path in made.parent.iterdir() if path != made)
        for name in beside:
            assert name.startswith(destination.name), f"{name} must start with {destination.name}."
            check_absent(destination.with_name(name))
        # The voice itself is renamed last, so that it never exists without its other files.
        for name in (*beside, destination.name):
            (made.parent / name).rename(destination.with_name(name))
    sync_folder(destination.parent)
    return Exported(
        format=format.name,
        written=(destination, *(destination.with_name(name) for name in beside)),
    )


def _choose(voice: StoredVoice, format_name: str | None, registry: Registry) -> Format:
    model = registry.entry_of("models", voice.description.model)
    family = model.name
    exporters = {entry.name: entry for entry in model.exporters}
    if not exporters:
        raise UserError(f"Voices of the family '{family}' cannot be exported: it has no exporters.")
    if format_name is None and len(exporters) == 1:
        (format_name,) = exporters
    if format_name not in exporters:
        raise UserError(
            f"The family '{family}' has several export formats; choose one with --format."
            if format_name is None
            else f"Voices of the family '{family}' cannot be exported to '{format_name}'.",
            hint=near_miss(format_name or "", exporters),
        )
    return Format(
        offered="models",
        family=family,
        kind="exporters",
        entry=exporters[format_name],
        registry=registry,
    )


def _check(made: Path, registry: Registry) -> None:
    """Load the exported voice, so that errors show now and not at first use."""
    assert made.exists(), f"The exporter has not written {made.name}."
    engine = light_engine(made, registry)
    if engine is not None:
        registry.load("engines", engine.name, "engine")(made, EngineOptions(registry=registry))
