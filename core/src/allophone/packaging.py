"""Voices as packages: an installable project with a voice's files, which speaks by its name.

allophone-voice-anna/
    pyproject.toml              requires the engine or model family, and what reads the voice's texts
    README.md, LICENSE          the card and the licence of the voice
    allophone_voice_anna/
        hooks.py, files.py      the VoiceEntry, and where the files lie
        voice/anna/             the files
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from allophone.atomic import folder_whole
from allophone.errors import UserError
from allophone.frontend import find_normalizer
from allophone.hookspecs import CONTRACT
from allophone.plugin import CORE
from allophone.registry import Registry
from allophone.run_folder import is_run
from allophone.synthesis.loading import find, load
from allophone.synthesis.voice import Voice
from allophone.templates import checked_name, fill

_UNKNOWN = "not stated"


@frozen(kw_only=True)
class Label:
    """What a package says of its voice; None takes what the voice says of itself."""

    name: str | None = None
    version: str = "0.1.0"
    licence: str | None = None
    summary: str | None = None
    language: str | None = None


def package_voice(place: str, into: Path, label: Label, registry: Registry) -> Path:
    """Write the package of a voice into the new folder `into`/allophone-voice-NAME, and return that.

    place: as `allophone.load` takes it. The voice is loaded once as a check.
    Raises UserError for a voice without a licence, a name that cannot be one, and where something lies in
    that place already.
    """
    path, engine, installed = find(place, registry)
    voice = load(place, engine=engine.name, registry=registry)
    about = voice.description.about
    name = checked_name(label.name or about.name)
    licence = label.licence or about.licence
    if licence == _UNKNOWN:
        raise UserError(
            f"The voice '{place}' does not state its licence, and a package has to.",
            hint='Say it, best as an SPDX name: --licence "CC-BY-4.0"',
        )
    language = installed.language if installed else voice.description.text.language
    distribution = f"allophone-voice-{name}"
    folder = into / distribution
    package = distribution.replace("-", "_")
    summary = label.summary or about.summary or f"The voice {name} for Allophone."
    with folder_whole(folder) as unfinished:
        files = unfinished / package / "voice"
        files.mkdir(parents=True)
        located = _copy(path, files, name, registry)
        fill(
            unfinished,
            "voice",
            package=package,
            name=name,
            distribution=distribution,
            contract=CONTRACT,
            version=json.dumps(label.version),
            summary=json.dumps(summary),
            language=json.dumps(label.language or language),
            licence=json.dumps(licence),
            located=json.dumps(located),
            dependencies=json.dumps(list(_requirements(voice, engine.name, registry))),
        )
        _write_texts(unfinished, files / located, name, summary, licence)
    return folder


def _copy(path: Path, files: Path, name: str, registry: Registry) -> str:
    """Copy a voice's files; returns the name of the file or folder that an engine recognises."""
    if path.is_file():
        for each in sorted(path.parent.glob(f"{path.name}*")):
            shutil.copy(each, files / each.name)
        return path.name
    if is_run(path):
        # Only a run has to be read, which takes PyTorch.
        from allophone.inference.importing import import_checkpoint

        import_checkpoint(path, files / name, None, registry)
    else:
        shutil.copytree(path, files / name)
    return name


def _requirements(voice: Voice, engine: str, registry: Registry) -> Iterator[str]:
    """The distributions that the voice speaks with, in the versions at hand or later."""
    text = voice.description.text
    wanted = [("engines", engine)]
    if voice.description.model is not None:
        wanted.append(("models", registry.entry_of("models", voice.description.model).name))
    wanted.append(("phonemizers", registry.entry_of("phonemizers", text.phonemizer).name))
    normalizer = find_normalizer(text, text.language, registry)
    if normalizer is not None:
        wanted.append(("normalizers", normalizer.language))
    owners = {CORE: registry.owner("commands", "say")}
    for kind, name in wanted:
        owner = registry.owner(kind, name)
        owners[owner.distribution] = owner
    for distribution, owner in owners.items():
        needs_torch = distribution == CORE and registry.owner("engines", engine) is owner
        extra = "[torch]" if needs_torch else ""
        yield f"{distribution}{extra}>={owner.version}" if owner.version else distribution


def _write_texts(folder: Path, files: Path, name: str, summary: str, licence: str) -> None:
    """The card and the licence: those of a voice folder, or else short ones."""
    card, terms = files / "README.md", files / "LICENSE"
    written = f"# {name}\n\n{summary}\n\n- Licence: {licence}\n"
    written += f'\n    allophone say "Good morning." --voice {name} --out morning.wav\n'
    (folder / "README.md").write_text(
        card.read_text(encoding="utf-8") if card.is_file() else written, encoding="utf-8"
    )
    (folder / "LICENSE").write_text(
        terms.read_text(encoding="utf-8") if terms.is_file() else f"{licence}\n", encoding="utf-8"
    )
