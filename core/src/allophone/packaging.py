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

from attrs import evolve, frozen
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.version import InvalidVersion, Version

from allophone.atomic import folder_whole
from allophone.errors import UserError
from allophone.frontend import find_normalizer
from allophone.hookspecs import CONTRACT
from allophone.plugin import CORE
from allophone.registry import Registry
from allophone.synthesis.description import About
from allophone.synthesis.loading import beside, find, load
from allophone.synthesis.voice import Voice
from allophone.templates import checked_name, fill

_UNKNOWN = "not stated"

_NO_SPDX_LICENCE = "LicenseRef-in-LICENSE"
"""What the metadata says of a licence that SPDX has no name for: it is in the file."""


@frozen(kw_only=True)
class Label:
    """What a package says of its voice; None takes what the voice says of itself."""

    name: str | None = None
    version: str = "0.1.0"
    licence: str | None = None
    summary: str | None = None
    language: str | None = None


def package_voice(place: str | Path, into: Path, label: Label, registry: Registry) -> Path:
    """Write the package of a voice into the new folder `into`/allophone-voice-NAME, and return that.

    place: as `allophone.load` takes it. The voice is loaded once as a check.
    The folder appears whole or not at all. Raises UserError for a voice without a licence, a name or a
    version that cannot be one, and where something lies in that place already.
    """
    version = _checked_version(label.version)
    path, engine, installed = find(place, registry)
    voice = load(place, engine=engine.name, registry=registry)
    own = voice.description.about
    about = About(
        name=_checked_name(label, own),
        licence=label.licence or own.licence,
        summary=" ".join((label.summary or own.summary).split()),
    )
    if about.licence == _UNKNOWN:
        raise UserError(
            f"The voice '{place}' does not state its licence, and a package has to.",
            hint='Say it, best as an SPDX name: --licence "CC-BY-4.0"',
        )
    language = installed.language if installed else voice.description.text.language
    distribution = f"allophone-voice-{about.name}"
    folder = into / distribution
    package = distribution.replace("-", "_")
    with folder_whole(folder) as unfinished:
        files = unfinished / package / "voice"
        files.mkdir(parents=True)
        located = _copy(path, files, voice, about, registry)
        fill(
            unfinished,
            "voice",
            package=package,
            name=about.name,
            distribution=distribution,
            contract=CONTRACT,
            version=_quoted(version),
            summary=_quoted(about.summary or f"The voice {about.name}."),
            language=_quoted(label.language or language),
            licence=_quoted(about.licence),
            licence_expression=_quoted(_licence_expression(about.licence)),
            located=_quoted(located),
            dependencies=json.dumps(list(_requirements(voice, engine.name, registry))),
        )
        _write_texts(unfinished, files / located, about, stated=about.licence == own.licence)
    return folder


def _checked_name(label: Label, own: About) -> str:
    """The name that was asked for, or else the voice's own; UserError for what cannot be one."""
    if label.name is not None:
        return checked_name(label.name)
    try:
        return checked_name(own.name)
    except UserError as error:
        raise UserError(
            f"The voice is called '{own.name}', which cannot be the name of a package.",
            hint=f"Give it another one with --name. {error.hint}",
        ) from error


def _checked_version(version: str) -> str:
    try:
        return str(Version(version))
    except InvalidVersion as error:
        raise UserError(
            f"'{version}' is not the version of a package.",
            hint="Use numbers with points between them (PEP 440): --version 1.0.2",
        ) from error


def _licence_expression(licence: str) -> str:
    try:
        return str(canonicalize_license_expression(licence))
    except InvalidLicenseExpression:
        return _NO_SPDX_LICENCE


def _quoted(text: str) -> str:
    """A string as both TOML and Python read it."""
    return json.dumps(text, ensure_ascii=False)


def _copy(path: Path, files: Path, voice: Voice, about: About, registry: Registry) -> str:
    """Copy a voice's files; returns the name of the file or folder that an engine recognises."""
    folder = files / about.name
    if voice.description.model is None:
        if path.is_dir():
            shutil.copytree(path, folder)
            return folder.name
        for each in beside(path):
            shutil.copy(each, files)
        return path.name
    # The engine of a voice with a model of ours has PyTorch.
    from allophone.inference.folder import write_voice
    from allophone.inference.importing import find_or_import

    source = find_or_import(path, registry)
    if source.checkpoint is None and about.licence == voice.description.about.licence:
        shutil.copytree(source.folder, folder)
    else:
        # The folder, too, says what was asked for.
        stored = source.read(registry)
        description = evolve(stored.description, about=about)
        write_voice(folder, evolve(stored, description=description), registry=registry)
    return folder.name


def _requirements(voice: Voice, engine: str, registry: Registry) -> Iterator[str]:
    """The distributions that the voice speaks with, in the versions at hand or later."""
    text = voice.description.text
    wanted = [("engines", engine)]
    if voice.description.model is not None:
        wanted.append(("models", registry.entry_of("models", voice.description.model).name))
    wanted.append(("phonemizers", registry.entry_of("phonemizers", text.phonemizer).name))
    for language in voice.languages:
        normalizer = find_normalizer(text, language, registry)
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


def _write_texts(folder: Path, files: Path, about: About, *, stated: bool) -> None:
    """The card and the licence of a package: those of the voice folder, or else short ones.

    stated: whether the voice itself states the licence; otherwise its own texts say something else.
    """
    card = f"# {about.name}\n\n{about.summary}\n\n- Licence: {about.licence}\n"
    card += f'\n    allophone say "Good morning." --voice {about.name} --out morning.wav\n'
    for name, text in {"README.md": card, "LICENSE": f"{about.licence}\n"}.items():
        if stated and (files / name).is_file():
            shutil.copy(files / name, folder / name)
        else:
            (folder / name).write_text(text, encoding="utf-8")
