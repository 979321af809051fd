"""Voice folders: a trained voice in five files that say everything that is needed to speak with it.

    joe/
        voice.toml           what it is: `VoiceDescription`, table by table
        model.safetensors    the weights of the speaking module, under that module's own names
        vocabulary.json      symbols, speakers and languages in the order of their ids
        README.md            the card: what the voice is, where it comes from, how to speak with it
        LICENSE              what one may do with it

Whoever makes voices (an importer, an export) calls `write_voice`; `read_voice` is its inverse.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen, validators
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.config import read_toml, structure, unstructure, write_toml
from allophone.data.vocabulary import Vocabulary, read_vocabulary, write_vocabulary
from allophone.entries import pluggable
from allophone.errors import UserError
from allophone.registry import Registry, default_registry
from allophone.synthesis.protocol import VoiceSpec
from allophone.text.config import TextConfig
from allophone.weights import read_weights, write_weights

FORMAT = 1
"""Raised when what is written can no longer be read by the code before it."""

VOICE = "voice.toml"
WEIGHTS = "model.safetensors"
VOCABULARY = "vocabulary.json"
CARD = "README.md"
LICENCE = "LICENSE"


@frozen(kw_only=True)
class VoiceCard:
    """The table `[voice]`.

    licence: in a few words what one may do with the voice, best an SPDX name ("CC0-1.0").
    distribution, version: the package that the model comes from, which whoever lacks it must install;
        `write_voice` fills them in.
    """

    name: str = field(validator=validators.min_len(1))
    licence: str = field(validator=validators.min_len(1))
    summary: str = ""
    format: int = FORMAT
    distribution: str | None = None
    version: str | None = None


@frozen(kw_only=True)
class VoiceDescription:
    """What `voice.toml` says.

    model: the config of the `[model]` table; its `type` names the model family.
    controls: what this voice sets otherwise than its family does (`noise_scale`, ...).
    """

    voice: VoiceCard
    model: Any = pluggable("models")
    audio: MelSpec
    text: TextConfig
    controls: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class StoredVoice:
    """A voice as it lies on disk: weights by the names of the speaking module, on the CPU."""

    description: VoiceDescription
    vocabulary: Vocabulary
    weights: Mapping[str, Tensor]

    @property
    def spec(self) -> VoiceSpec:
        """What its synthesizer is built from."""
        return VoiceSpec(
            model=self.description.model,
            audio=self.description.audio,
            vocabulary=self.vocabulary,
        )


def write_voice(
    path: Path,
    voice: StoredVoice,
    *,
    card: str | None = None,
    licence_text: str | None = None,
    registry: Registry | None = None,
) -> None:
    """Write a voice folder at `path`, whole or not at all.

    card: the text of README.md, Markdown; without one it is made from the description.
    licence_text: the text of LICENSE; without one it holds the few words of the description.
    registry: where the model's family is looked up; the process's own by default.
    Raises UserError when something lies at `path` already.
    """
    if path.exists():
        raise UserError(f"{path} exists already.", hint="Remove it, or give another place.")
    registry = registry or default_registry()
    plain = unstructure(voice.description, registry=registry)
    owner = registry.owner("models", plain["model"]["type"])
    named = evolve(
        voice.description.voice,
        format=FORMAT,
        distribution=owner.distribution,
        version=owner.version or None,
    )
    plain["voice"] = unstructure(named, registry=registry)

    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        write_toml(unfinished / VOICE, plain)
        write_weights(unfinished / WEIGHTS, voice.weights)
        write_vocabulary(unfinished / VOCABULARY, voice.vocabulary)
        (unfinished / CARD).write_text(card or _card(voice, plain), encoding="utf-8")
        licence = licence_text or f"{named.licence}\n"
        (unfinished / LICENCE).write_text(licence, encoding="utf-8")
        unfinished.chmod(0o755)
        os.rename(unfinished, path)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def is_voice(path: Path) -> bool:
    """Whether a voice folder lies there."""
    return (path / VOICE).is_file()


def read_voice(path: Path, registry: Registry | None = None) -> StoredVoice:
    """Read a voice folder.

    Raises UserError for a missing file, a format that is newer than this code, and anything in
    voice.toml that is not valid; PluginError, with what to install, for a model that is not there.
    """
    for name in (VOICE, WEIGHTS, VOCABULARY):
        if not (path / name).is_file():
            raise UserError(
                f"The voice folder {path} has no {name}.",
                hint=f"A voice folder holds {VOICE}, {WEIGHTS} and {VOCABULARY}; copy it again.",
            )
    plain = read_toml(path / VOICE)
    return StoredVoice(
        description=_description(path / VOICE, plain, registry or default_registry()),
        vocabulary=read_vocabulary(path / VOCABULARY),
        weights=read_weights(path / WEIGHTS),
    )


def _description(place: Path, plain: Mapping[str, Any], registry: Registry) -> VoiceDescription:
    """Check what a stranger's file may lack before it is structured: its format and its model."""
    card = plain.get("voice")
    stated = card.get("format") if isinstance(card, Mapping) else None
    if stated != FORMAT:
        raise UserError(
            f"{place} has the format {stated!r} in [voice]; this Allophone reads {FORMAT}.",
            hint="A newer Allophone may have written it: pip install --upgrade allophone",
        )
    model = plain.get("model")
    if isinstance(model, Mapping) and isinstance(model.get("type"), str):
        registry.find("models", model["type"], distribution=card.get("distribution"))
    return structure(VoiceDescription, plain, where=str(place), registry=registry)


def _card(voice: StoredVoice, plain: Mapping[str, Any]) -> str:
    description = voice.description
    card = description.voice
    speakers = len(voice.vocabulary.speakers)
    facts = [
        f"- Model: {plain['model']['type']}",
        f"- Language: {', '.join(voice.vocabulary.languages) or description.text.language}",
        *([f"- Speakers: {speakers}"] if speakers > 1 else []),
        f"- Sample rate: {description.audio.sample_rate} Hz",
        f"- Licence: {card.licence} (see {LICENCE})",
    ]
    summary = f"{card.summary}\n\n" if card.summary else ""
    return (
        f"# {card.name}\n\n{summary}" + "\n".join(facts) + "\n\n"
        "Speak with it: `allophone say \"Hello there.\" --voice <this folder> --out hello.wav`\n"
    )
