"""Assembles one voice from several runs, for model families that are trained in stages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import evolve

from allophone.config import unstructure
from allophone.config.tables import leaves
from allophone.entries import ModelEntry
from allophone.errors import UserError
from allophone.inference.folder import StoredVoice
from allophone.inference.locate import find_voice
from allophone.registry import Registry

_SHARED = ("model", "audio", "text")


def assembles(place: Path, registry: Registry) -> bool:
    """Whether the run at `place` trains one stage of a model that is trained in several."""
    return _family(find_voice(place, registry).read(registry), registry).assembler is not None


def assemble(places: Sequence[Path], destination: Path, registry: Registry) -> None:
    """Assemble runs, or checkpoints of them, into one voice folder.

    Raises UserError for two runs of the same stage, for runs of different families or configurations, listing
    each field that differs, and for missing stages.
    """
    stages: dict[str, StoredVoice] = {}
    found: dict[str, Path] = {}
    for place in places:
        voice = find_voice(place, registry)
        if voice.inference_module is None:
            raise UserError(
                f"{place} is already a voice.", hint="Give the runs that trained its stages."
            )
        if voice.inference_module in found:
            raise UserError(
                f"{found[voice.inference_module]} and {place} both trained '{voice.inference_module}'.",
                hint="Give one run per stage.",
            )
        found[voice.inference_module], stages[voice.inference_module] = place, voice.read(registry)
    first = next(iter(stages))
    family = _family(stages[first], registry)
    for name, stage in stages.items():
        _check_compatible(stages[first], stage, (found[first], found[name]), registry)
    if family.assembler is None:
        raise UserError(
            f"A voice of the family '{family.name}' is made from one run, but {len(places)} were given."
        )
    about = evolve(stages[first].description.about, name=destination.name)
    named = {
        name: evolve(stage, description=evolve(stage.description, about=about))
        for name, stage in stages.items()
    }
    family.assembler.load()(named, destination)


def _family(voice: StoredVoice, registry: Registry) -> ModelEntry:
    entry: ModelEntry = registry.entry_of("models", voice.description.model)
    return entry


def _check_compatible(
    first: StoredVoice, second: StoredVoice, places: tuple[Path, Path], registry: Registry
) -> None:
    """Raise UserError unless two runs have the same model, audio and text tables, and vocabulary."""
    left, right = (_settings(voice, registry) for voice in (first, second))
    differing = [
        f"  {path}: {json.dumps(left.get(path))} against {json.dumps(right.get(path))}"
        for path in dict.fromkeys([*left, *right])
        if left.get(path) != right.get(path)
    ]
    if first.vocabulary != second.vocabulary:
        differing.append("  the symbols, speakers or languages in vocabulary.json")
    if differing:
        raise UserError(
            f"{places[0]} and {places[1]} cannot be combined into one voice; they differ in:\n"
            + "\n".join(differing),
            hint="Train all stages with the same experiment, on the same data.",
        )


def _settings(voice: StoredVoice, registry: Registry) -> Mapping[str, object]:
    plain = unstructure(voice.description, registry=registry)
    return dict(leaves({table: plain[table] for table in _SHARED}))
