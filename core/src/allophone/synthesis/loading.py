"""`load`: finds a voice and the engine for its files, and returns a `Voice`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from allophone.entries import EngineEntry, VoiceEntry
from allophone.errors import UserError
from allophone.files.regular import why_not_a_file
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
    """Load a voice.

    place: the name of an installed voice, a voice folder, a run (its latest checkpoint is used, with averaged
        weights if it has them), a checkpoint, an exported voice, or another project's checkpoint that a
        plugin can import.
    engine: the name of the engine; by default the first that recognises the voice's files, light engines
        (without PyTorch) first.
    device: a PyTorch device name: "cpu", "cuda", "cuda:1".
    vocoder: for models that predict mel spectrograms: a vocoder folder, a run, or "griffin-lim". Without one,
        Griffin-Lim is used and a warning is logged.
    vocoder_controls: controls of the vocoder by name.

    Raises UserError if the voice does not exist or something does not fit, and PluginError, with what to
    install, if the engine or the model family is missing.
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
    """Find the files of a voice, its engine, and its entry if it is an installed voice; see `load`.

    A path that an engine recognises takes precedence over an installed voice of the same name.
    """
    engines = _candidates(registry, engine)
    path = Path(place).expanduser()
    if path.exists() and not path.is_dir() and (wrong := why_not_a_file(path)):
        raise UserError(f"Not a voice: {wrong} or a folder.")
    if path.exists() and (found := _first_recognising(path, engines, registry)):
        return path, found, None
    voices = registry.entries("voices")
    if str(place) in voices:
        entry: VoiceEntry = voices[str(place)]
        located = Path(registry.load("voices", entry.name, "locate")())
        if found := _first_recognising(located, engines, registry):
            return located, found, entry
        raise UserError(
            f"No installed engine can load the voice '{place}' at {located}{_tried(engine)}.",
            hint=_other_engines(located, registry, engine),
        )
    if path.exists():
        raise UserError(
            f"No installed engine recognises {place} as a voice{_tried(engine)}. Expected a voice folder, a "
            "run with checkpoints, an exported voice, or a checkpoint that a plugin can import.",
            hint=_other_engines(path, registry, engine),
        )
    raise registry.missing(
        "voices",
        str(place),
        message=f"There is no voice '{place}': it is neither a path nor an installed voice.",
    )


def _candidates(registry: Registry, engine: str | None) -> list[EngineEntry]:
    """The engines to try, light ones first."""
    if engine is not None:
        return [registry.find("engines", engine)]
    return sorted(registry.entries("engines").values(), key=lambda entry: not entry.light)


def _first_recognising(
    path: Path, engines: list[EngineEntry], registry: Registry
) -> EngineEntry | None:
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


def companion_files(path: Path) -> list[Path]:
    """List a voice file and the files next to it whose names begin with its name ("joe.onnx.json")."""
    return sorted(
        each for each in path.parent.iterdir() if each.name.startswith(path.name) and each.is_file()
    )


def light_engine(path: Path, registry: Registry) -> EngineEntry | None:
    """Find an engine without PyTorch that recognises the voice at a path."""
    engines = [entry for entry in _candidates(registry, None) if entry.light]
    return _first_recognising(path, engines, registry)


def _tried(engine: str | None) -> str:
    return f" (only the engine '{engine}' was tried)" if engine else ""


def _other_engines(path: Path, registry: Registry, engine: str | None) -> str:
    if engine and (other := _first_recognising(path, _candidates(registry, None), registry)):
        return f"The engine '{other.name}' can: omit --engine, or use --engine {other.name}."
    names = ", ".join(sorted(registry.entries("engines"))) or "none"
    return (
        f"Installed engines: {names}. Voice folders and runs need allophone[torch] and the plugin of their "
        "model; exported voices need an engine for their format."
    )
