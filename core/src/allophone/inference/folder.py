"""Voice and vocoder folders: everything needed for inference, in files that are safe to load.

    joe/
        voice.toml           a `VoiceDescription`
        model.safetensors    the weights of the inference module, with names as in its `state_dict`
        vocabulary.json      symbols, speakers and languages in the order of their ids
        README.md            the model card
        LICENSE              the licence of the voice

A vocoder folder has `vocoder.toml` (`VocoderDescription`) and no vocabulary.

Importers write voice folders with `write_voice`; `read_voice` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from attrs import evolve, frozen
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.config import read_toml, structure, unstructure, write_toml
from allophone.data.vocabulary import Vocabulary, read_vocabulary, write_vocabulary
from allophone.errors import UserError
from allophone.fields import pluggable
from allophone.files.atomic import atomic_folder
from allophone.inference.protocol import Synthesizer, VocoderSpec, VoiceSpec
from allophone.registry import Registry, default_registry
from allophone.synthesis.description import FORMAT, VOICE, About, VoiceDescription
from allophone.weights.files import read_weights, write_weights
from allophone.weights.loading import bounded_by

VOCODER = "vocoder.toml"
WEIGHTS = "model.safetensors"
VOCABULARY = "vocabulary.json"
CARD = "README.md"
LICENCE = "LICENSE"

Description = TypeVar("Description")


@frozen(kw_only=True)
class StoredVoice:
    """A voice as stored on disk.

    weights: the `state_dict` of the inference module, on the CPU.
    folder: the voice folder; None if it was read from a run.
    """

    description: VoiceDescription
    vocabulary: Vocabulary
    weights: Mapping[str, Tensor]
    folder: Path | None = None

    @property
    def spec(self) -> VoiceSpec:
        """The arguments for building its synthesizer, apart from the weights."""
        return VoiceSpec(
            model=self.description.model,
            audio=self.description.audio,
            vocabulary=self.vocabulary,
            folder=self.folder,
        )


@frozen(kw_only=True)
class VocoderDescription:
    """The content of `vocoder.toml`: the config of the table `[vocoder]`, and the MelSpec of its input."""

    about: About
    vocoder: Any = pluggable("vocoders")
    audio: MelSpec


@frozen(kw_only=True)
class StoredVocoder:
    """A vocoder as stored on disk."""

    description: VocoderDescription
    weights: Mapping[str, Tensor]

    @property
    def spec(self) -> VocoderSpec:
        """The arguments for building the vocoder, apart from the weights."""
        return VocoderSpec(vocoder=self.description.vocoder, audio=self.description.audio)


def build_synthesizer(stored: StoredVoice, device: torch.device, registry: Registry) -> Synthesizer:
    """Build the synthesizer of a stored voice. UserError for weights or controls that do not fit."""
    family = registry.entry_of("models", stored.description.model).name
    build = registry.load("models", family, "synthesizer")
    name = stored.description.about.name
    with bounded_by(stored.weights, where=f"the voice '{name}'"):
        synthesizer: Synthesizer = build(stored.spec, stored.weights, device)
    structure(
        synthesizer.controls,
        stored.description.controls,
        where=f"A control of '{name}'",
        registry=registry,
    )
    return synthesizer


def write_voice(
    path: Path,
    voice: StoredVoice,
    *,
    card: str | None = None,
    licence_text: str | None = None,
    registry: Registry | None = None,
) -> None:
    """Write a voice folder at `path`, atomically.

    card: the content of README.md (Markdown); by default generated from the description.
    licence_text: the content of LICENSE; by default the licence in the description.
    registry: used to look up the model family; by default `default_registry()`.

    Raises UserError if `path` exists.
    """
    plain = _plain("models", "model", voice.description, registry or default_registry())
    languages = voice.vocabulary.languages or (voice.description.text.language,)
    speakers = len(voice.vocabulary.speakers)
    facts = [f"Language: {', '.join(languages)}"]
    if speakers > 1:
        facts.append(f"Speakers: {speakers}")

    with atomic_folder(path) as folder:
        write_toml(folder / VOICE, plain)
        write_weights(folder / WEIGHTS, voice.weights)
        write_vocabulary(folder / VOCABULARY, voice.vocabulary)
        _write_texts(folder, plain, "model", facts, card, licence_text)


def write_vocoder(
    path: Path,
    vocoder: StoredVocoder,
    *,
    card: str | None = None,
    licence_text: str | None = None,
    registry: Registry | None = None,
) -> None:
    """Write a vocoder folder at `path`; see `write_voice`."""
    plain = _plain("vocoders", "vocoder", vocoder.description, registry or default_registry())

    with atomic_folder(path) as folder:
        write_toml(folder / VOCODER, plain)
        write_weights(folder / WEIGHTS, vocoder.weights)
        _write_texts(folder, plain, "vocoder", [], card, licence_text)


def read_voice(path: Path, registry: Registry | None = None) -> StoredVoice:
    """Read a voice folder.

    Raises UserError for a missing file, an unsupported format, or an invalid voice.toml, and PluginError, with
    what to install, if the model family is not installed.
    """
    _require(path, "voice", (VOICE, WEIGHTS, VOCABULARY))
    return StoredVoice(
        description=_describe(VoiceDescription, path / VOICE, "models", "model", registry),
        vocabulary=read_vocabulary(path / VOCABULARY),
        weights=read_weights(path / WEIGHTS),
        folder=path,
    )


def read_vocoder(path: Path, registry: Registry | None = None) -> StoredVocoder:
    """Read a vocoder folder; raises the same errors as `read_voice`."""
    _require(path, "vocoder", (VOCODER, WEIGHTS))
    return StoredVocoder(
        description=_describe(VocoderDescription, path / VOCODER, "vocoders", "vocoder", registry),
        weights=read_weights(path / WEIGHTS),
    )


def _plain(kind: str, table: str, description: Any, registry: Registry) -> dict[str, Any]:
    """Convert a description to plain data, adding the package that provides its model."""
    plain = unstructure(description, registry=registry)
    owner = registry.owner(kind, plain[table]["type"])
    about = evolve(
        description.about,
        distribution=owner.distribution,
        version=owner.version or None,
        format=FORMAT,
    )
    return plain | {"about": unstructure(about, registry=registry)}


def _require(path: Path, kind: str, names: tuple[str, ...]) -> None:
    for name in names:
        if not (path / name).is_file():
            raise UserError(
                f"{path} has no {name}.",
                hint=f"A {kind} folder contains {', '.join(names)}; copy the complete folder again.",
            )


def _describe(
    cls: type[Description], path: Path, kind: str, table: str, registry: Registry | None
) -> Description:
    """Read a description. Its format and plugin are checked first, for better error messages."""
    registry = registry or default_registry()
    plain = read_toml(path)
    about, model = plain.get("about"), plain.get(table)
    if not isinstance(about, dict) or not isinstance(model, dict) or "type" not in model:
        raise UserError(
            f"{path} is not a valid description: it must have the tables [about] and [{table}] with a type."
        )
    if about.get("format") != FORMAT:
        raise UserError(
            f"{path} has the format {about.get('format')!r}; this version reads {FORMAT}.",
            hint="If it was written by a newer version: pip install --upgrade allophone",
        )
    registry.find(kind, str(model["type"]), distribution=about.get("distribution"))
    return structure(cls, plain, where=str(path), registry=registry)


def _write_texts(
    folder: Path,
    plain: Mapping[str, Any],
    table: str,
    facts: list[str],
    card: str | None,
    licence_text: str | None,
) -> None:
    about = plain["about"]
    if card is None:
        listed = [
            f"{table.capitalize()}: {plain[table]['type']}",
            *facts,
            f"Sample rate: {plain['audio']['sample_rate']} Hz",
            f"Licence: {about['licence']} (see {LICENCE})",
        ]
        summary = f"{about['summary']}\n\n" if about["summary"] else ""
        card = f"# {about['name']}\n\n{summary}" + "".join(f"- {fact}\n" for fact in listed)
    (folder / CARD).write_text(card, encoding="utf-8")
    (folder / LICENCE).write_text(licence_text or f"{about['licence']}\n", encoding="utf-8")
