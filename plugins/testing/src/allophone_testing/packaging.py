"""Packages voices as Python projects that can be installed with pip, to use a voice by name.

allophone-voice-anna/
    pyproject.toml              requires the engine or model family, the phonemizer and normalizers
    README.md, LICENSE          the model card and the licence of the voice
    allophone_voice_anna/
        hooks.py, files.py      the VoiceEntry, and the location of the files
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

from allophone.errors import UserError
from allophone.files.atomic import atomic_folder
from allophone.hookspecs import CONTRACT
from allophone.plugin import CORE
from allophone.registry import Registry
from allophone.synthesis.description import About
from allophone.synthesis.loading import companion_files, find, load
from allophone.synthesis.voice import Voice
from allophone.text.frontend import find_normalizer
from allophone_testing.templates import checked_name, fill

_UNKNOWN = "not stated"

_NO_SPDX_LICENCE = "LicenseRef-in-LICENSE"
"""The licence expression in the metadata if the licence is not an SPDX expression."""


@frozen(kw_only=True)
class PackageMetadata:
    """The metadata of a voice package; None uses the voice's own."""

    name: str | None = None
    version: str = "0.1.0"
    licence: str | None = None
    summary: str | None = None
    language: str | None = None


def package_voice(
    place: str | Path, into: Path, metadata: PackageMetadata, registry: Registry
) -> Path:
    """Write the package of a voice to the new folder `into`/allophone-voice-NAME, and return its path.

    place: a voice, as for `allophone.load`. It is loaded as a check.

    The folder is written atomically. Raises UserError for a voice without a licence, an invalid name or
    version, and if the folder exists.
    """
    version = _checked_version(metadata.version)
    path, engine, installed = find(place, registry)
    voice = load(place, engine=engine.name, registry=registry)
    own = voice.description.about
    about = About(
        name=_checked_name(metadata, own),
        licence=metadata.licence or own.licence,
        summary=" ".join((metadata.summary or own.summary).split()),
    )
    if about.licence == _UNKNOWN:
        raise UserError(
            f"The voice '{place}' does not state its licence, which a package needs.",
            hint='Give it, preferably as an SPDX identifier: --licence "CC-BY-4.0"',
        )
    language = installed.language if installed else voice.description.text.language
    distribution = f"allophone-voice-{about.name}"
    folder = into / distribution
    package = distribution.replace("-", "_")
    with atomic_folder(folder) as unfinished:
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
            language=_quoted(metadata.language or language),
            licence=_quoted(about.licence),
            licence_expression=_quoted(_licence_expression(about.licence)),
            located=_quoted(located),
            dependencies=json.dumps(list(_requirements(voice, engine.name, registry))),
        )
        _write_texts(unfinished, files / located, about, stated=about.licence == own.licence)
    return folder


def _checked_name(metadata: PackageMetadata, own: About) -> str:
    """Return the given name, or else the voice's own; UserError if it is not a valid package name."""
    if metadata.name is not None:
        return checked_name(metadata.name)
    try:
        return checked_name(own.name)
    except UserError as error:
        raise UserError(
            f"The name of the voice, '{own.name}', is not a valid package name.",
            hint=f"Choose another with --name. {error.hint}",
        ) from error


def _checked_version(version: str) -> str:
    try:
        return str(Version(version))
    except InvalidVersion as error:
        raise UserError(
            f"Invalid version '{version}'.",
            hint="Use numbers separated by periods (PEP 440): --version 1.0.2",
        ) from error


def _licence_expression(licence: str) -> str:
    try:
        return str(canonicalize_license_expression(licence))
    except InvalidLicenseExpression:
        return _NO_SPDX_LICENCE


def _quoted(text: str) -> str:
    """Quote a string such that it is valid in both TOML and Python."""
    return json.dumps(text, ensure_ascii=False)


def _copy(path: Path, files: Path, voice: Voice, about: About, registry: Registry) -> str:
    """Copy a voice's files; return the name of the file or folder that an engine loads."""
    folder = files / about.name
    if voice.description.model is None:
        if path.is_dir():
            shutil.copytree(path, folder)
            return folder.name
        for each in companion_files(path):
            shutil.copy(each, files)
        return path.name
    # Voices with a `[model]` need the engine `torch`, so PyTorch is installed.
    from allophone.inference.folder import write_voice
    from allophone.inference.importing import find_or_import

    source = find_or_import(path, registry)
    if source.checkpoint is None and about.licence == voice.description.about.licence:
        shutil.copytree(source.folder, folder)
    else:
        # The voice folder must state the same name and licence as the package.
        stored = source.read(registry)
        description = evolve(stored.description, about=about)
        write_voice(folder, evolve(stored, description=description), registry=registry)
    return folder.name


def _requirements(voice: Voice, engine: str, registry: Registry) -> Iterator[str]:
    """Yield the requirements of the voice, in the installed versions or later."""
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
    """Write README.md and LICENSE: copies of those in the voice folder, or short ones.

    stated: whether the voice folder states the same licence; otherwise its files are not used.
    """
    card = f"# {about.name}\n\n{about.summary}\n\n- Licence: {about.licence}\n"
    card += f'\n    allophone say "Good morning." --voice {about.name} --out morning.wav\n'
    for name, text in {"README.md": card, "LICENSE": f"{about.licence}\n"}.items():
        if stated and (files / name).is_file():
            shutil.copy(files / name, folder / name)
        else:
            (folder / name).write_text(text, encoding="utf-8")
