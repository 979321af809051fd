"""`load`: from the place of a voice to a `Voice`, through the engine that fits its files."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from allophone.entries import EngineEntry, VoiceEntry
from allophone.errors import UserError
from allophone.plugin import failure_location
from allophone.registry import Registry, default_registry
from allophone.synthesis.engine import EngineOptions, LoadedVoice
from allophone.synthesis.voice import Voice

_log = logging.getLogger(__name__)


def load(
    place: str | Path,
    *,
    engine: str | None = None,
    device: str = "cpu",
    vocoder: str | Path | None = None,
    vocoder_controls: Mapping[str, Any] | None = None,
    registry: Registry | None = None,
) -> Voice:
    """Make a voice ready to speak.

    place: the name of an installed voice, a voice folder, the folder of a run (its latest checkpoint
        speaks, with averaged weights where it keeps them), a checkpoint, an exported voice, or another
        project's checkpoint that a plugin can import.
    engine: the name of the engine to speak with; by default the first that recognises the voice's
        files, light ones (without PyTorch) before others.
    device: as PyTorch names it: "cpu", "cuda", "cuda:1".
    vocoder: for a model of mel spectrograms: the folder of a vocoder, a run, or "griffin-lim". Without one
        Griffin-Lim is used, which needs no training, and a warning is logged.
    vocoder_controls: what to set of that vocoder, where it has controls.
    Raises UserError for what is not there or does not fit, PluginError, with what to install, for an
    engine or a model family that is missing.
    """
    registry = registry or default_registry()
    path, chosen, installed = find(place, registry, engine=engine)
    options = EngineOptions(
        device=device,
        vocoder=vocoder,
        vocoder_controls=dict(vocoder_controls or {}),
        registry=registry,
    )
    loaded: LoadedVoice = registry.load("engines", chosen.name, "engine")(path, options)
    description = loaded.description
    if installed is not None:
        about = evolve(
            description.about,
            name=installed.name,
            licence=installed.licence,
            summary=installed.summary,
        )
        description = evolve(description, about=about)
    voice = Voice(
        description=description,
        vocabulary=loaded.vocabulary,
        engine=loaded.engine,
        registry=registry,
    )
    voice.controls({})
    return voice


def find(
    place: str | Path, registry: Registry, *, engine: str | None = None
) -> tuple[Path, EngineEntry, VoiceEntry | None]:
    """Where a voice's files lie, the engine that speaks it, and its entry if it is installed: see `load`.

    A path that an engine recognises comes before an installed voice of that name.
    """
    engines = _candidates(registry, engine)
    path = Path(place).expanduser()
    if path.exists() and (found := _recognising(path, engines, registry)):
        return path, found, None
    voices = registry.entries("voices")
    if str(place) in voices:
        entry: VoiceEntry = voices[str(place)]
        located = Path(registry.load("voices", entry.name, "locate")())
        if found := _recognising(located, engines, registry):
            return located, found, entry
        raise UserError(
            f"No engine can speak the voice '{place}', whose files are at {located}"
            f"{_asked(engine)}.",
            hint=_other_engines(located, registry, engine),
        )
    if path.exists():
        raise UserError(
            f"{place} is not a voice that an engine recognises{_asked(engine)}: neither a voice folder, a "
            "run with checkpoints, an exported voice, nor a checkpoint that a plugin can import.",
            hint=_other_engines(path, registry, engine),
        )
    raise registry.missing(
        "voices",
        str(place),
        message=f"There is no voice '{place}': neither a path nor an installed voice.",
    )


def _candidates(registry: Registry, engine: str | None) -> list[EngineEntry]:
    """The engines to ask, light ones first."""
    if engine is not None:
        return [registry.find("engines", engine)]
    return sorted(registry.entries("engines").values(), key=lambda entry: not entry.light)


def _recognising(path: Path, engines: list[EngineEntry], registry: Registry) -> EngineEntry | None:
    for entry in engines:
        recognises = registry.load("engines", entry.name, "recognises")
        try:
            if recognises(path):
                return entry
        except Exception as error:
            # What is wrong with one engine must not silence the others.
            owner = registry.owner("engines", entry.name)
            _log.warning(
                "The engine '%s' of %s is passed over: its `recognises` raises %s: %s (%s)",
                entry.name,
                owner.distribution,
                type(error).__name__,
                error,
                failure_location(error, owner.package) or entry.recognises,
            )
    return None


def beside(path: Path) -> list[Path]:
    """The files of a voice that is a file: itself, and those whose names begin with its own ("joe.onnx.json")."""
    return sorted(
        each for each in path.parent.iterdir() if each.name.startswith(path.name) and each.is_file()
    )


def light_engine(path: Path, registry: Registry) -> EngineEntry | None:
    """The engine without PyTorch that recognises what lies at a path, if there is one."""
    engines = [entry for entry in _candidates(registry, None) if entry.light]
    return _recognising(path, engines, registry)


def _asked(engine: str | None) -> str:
    return f" (asked was the engine '{engine}' alone)" if engine else ""


def _other_engines(path: Path, registry: Registry, engine: str | None) -> str:
    if engine and (other := _recognising(path, _candidates(registry, None), registry)):
        return f"The engine '{other.name}' can: leave out --engine, or give --engine {other.name}."
    names = ", ".join(sorted(registry.entries("engines"))) or "none"
    return (
        f"Installed engines: {names}. Voice folders and runs need allophone[torch] and the plugin of their "
        "model, exported voices an engine for their format."
    )
