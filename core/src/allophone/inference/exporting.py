"""Writing voices in formats that other programs speak with."""

from __future__ import annotations

import tempfile
from pathlib import Path

from attrs import frozen

from allophone.atomic import sync_folder
from allophone.entries import ExporterEntry
from allophone.errors import UserError, near_miss
from allophone.inference.folder import StoredVoice
from allophone.inference.formats import Format
from allophone.inference.importing import find_or_import
from allophone.registry import Registry
from allophone.synthesis.engine import EngineOptions
from allophone.synthesis.loading import light_engine


@frozen(kw_only=True)
class Exported:
    """format: "<family>.<format>"; written: what lies there now, the voice itself first."""

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
    """Write a voice in another format, and load it once as a check where a plugin can play it.

    place: a voice folder, a run, a checkpoint, or the name of an installed voice.
    format_name: "<format>"; may be None where the voice's family has only one.
    streaming: in the form that is heard before a sentence is finished.
    All of it is there in the end, or nothing. Raises UserError when something lies there already, for
    a format that the family does not have, and for what an exporter finds wrong with the voice.
    """
    voice = find_or_import(place, registry).read(registry)
    format = _choose(voice, format_name, registry)
    entry = format.entry
    assert isinstance(entry, ExporterEntry)
    if streaming and entry.streaming is None:
        raise UserError(
            f"{format.name} has no form that is heard before a sentence is finished.",
            hint="Leave out --streaming.",
        )
    _refuse_existing(destination)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{destination} cannot be made: {error}") from error

    hidden = f".{destination.name}."
    with tempfile.TemporaryDirectory(".tmp", hidden, destination.parent) as temporary:
        made = Path(temporary) / destination.name
        format.load("streaming" if streaming else "exporter")(voice, made)
        _check(made, registry)
        beside = sorted(path.name for path in made.parent.iterdir() if path != made)
        for name in beside:
            assert name.startswith(destination.name), f"{name} does not say what it belongs to."
            _refuse_existing(destination.with_name(name))
        # The voice itself comes last: when it is there, so is what belongs to it.
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
        raise UserError(f"Voices of the family '{family}' cannot be exported to any format.")
    if format_name is None and len(exporters) == 1:
        (format_name,) = exporters
    if format_name not in exporters:
        what = "Say to which format with --format." if format_name is None else ""
        raise UserError(
            what or f"Voices of the family '{family}' cannot be exported to '{format_name}'.",
            hint=near_miss(format_name or "", exporters),
        )
    return Format(
        offered="models",
        family=family,
        kind="exporters",
        entry=exporters[format_name],
        registry=registry,
    )


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise UserError(f"{path} exists already.", hint="Remove it, or give another place.")


def _check(made: Path, registry: Registry) -> None:
    """Load what was written, so that whatever is broken shows now."""
    assert made.exists(), f"The exporter has not written {made.name}."
    engine = light_engine(made, registry)
    if engine is not None:
        registry.load("engines", engine.name, "engine")(made, EngineOptions(registry=registry))
