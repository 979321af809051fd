"""One voice of several runs, for families that are learned in stages."""

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
    """Whether the run at `place`, which trains a model, is one of those that a voice is made of."""
    return _family(find_voice(place, registry).read(registry), registry).assembler is not None


def assemble(places: Sequence[Path], destination: Path, registry: Registry) -> None:
    """Write the voice folder that runs (or checkpoints of them) make together.

    Raises UserError for runs of one stage, of different families, and of different models, naming each
    field that differs; and for stages that the family finds missing.
    """
    stages: dict[str, StoredVoice] = {}
    found: dict[str, Path] = {}
    for place in places:
        voice = find_voice(place, registry)
        if voice.inference_module is None:
            raise UserError(
                f"{place} is a voice already.", hint="Give the runs that have learned its stages."
            )
        if voice.inference_module in found:
            raise UserError(
                f"{found[voice.inference_module]} and {place} have both learned '{voice.inference_module}'.",
                hint="Give one run of each stage.",
            )
        found[voice.inference_module], stages[voice.inference_module] = place, voice.read(registry)
    first = next(iter(stages))
    family = _family(stages[first], registry)
    for name, stage in stages.items():
        _refuse_others(stages[first], stage, (found[first], found[name]), registry)
    if family.assembler is None:
        raise UserError(
            f"A voice of the family '{family.name}' is made of one run, not of {len(places)}."
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


def _refuse_others(
    one: StoredVoice, other: StoredVoice, places: tuple[Path, Path], registry: Registry
) -> None:
    """UserError unless two runs were given the same model, audio, text and symbols."""
    ours, theirs = (_described(voice, registry) for voice in (one, other))
    differing = [
        f"  {path}: {json.dumps(ours.get(path))} against {json.dumps(theirs.get(path))}"
        for path in dict.fromkeys([*ours, *theirs])
        if ours.get(path) != theirs.get(path)
    ]
    if one.vocabulary != other.vocabulary:
        differing.append("  the symbols, speakers or languages that they know")
    if differing:
        raise UserError(
            f"{places[0]} and {places[1]} make no voice together; they differ in:\n"
            + "\n".join(differing),
            hint="Train all stages of one experiment, on the same data.",
        )


def _described(voice: StoredVoice, registry: Registry) -> Mapping[str, object]:
    plain = unstructure(voice.description, registry=registry)
    return dict(leaves({table: plain[table] for table in _SHARED}))
