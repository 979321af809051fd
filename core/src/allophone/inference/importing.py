"""Converts checkpoints of other projects, and training runs, to voice and vocoder folders."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from allophone.data.digests import digest_of
from allophone.errors import UserError
from allophone.files.atomic import atomic_folder
from allophone.files.cache import cache_folder
from allophone.files.locks import name_locked
from allophone.files.parsing import other_content
from allophone.files.regular import why_not_a_file
from allophone.files.run_folder import is_run
from allophone.inference.assembling import assemble, assembles
from allophone.inference.folder import (
    build_synthesizer,
    read_vocoder,
    read_voice,
    write_vocoder,
    write_voice,
)
from allophone.inference.formats import Format, formats, recognising
from allophone.inference.locate import (
    VoiceSource,
    find_vocoder,
    find_voice,
    trains_vocoder,
    voice_path,
)
from allophone.inference.vocoders import load_vocoder
from allophone.registry import Registry
from allophone.synthesis.description import VOICE
from allophone.synthesis.ledger import digest
from allophone.synthesis.loading import companion_files

_log = logging.getLogger(__name__)


def import_checkpoint(
    source: Path, destination: Path, format_name: str | None, registry: Registry
) -> str:
    """Convert `source` to a voice or vocoder folder, and load the result as a check.

    format_name: "<family>.<format>"; by default, the importer that recognises `source`. Runs and their
        checkpoints need no importer.

    Returns the name of the format. Raises UserError if `destination` exists, if no importer or more than one
    recognises `source`, and if the importer rejects it.
    """
    if not source.is_dir() and (wrong := why_not_a_file(source)):
        raise UserError(f"Nothing can be imported: {wrong}.")
    if format_name is None and is_run(source):
        if trains_vocoder(source):
            vocoder = find_vocoder(source, registry).read(registry)
            write_vocoder(destination, vocoder, registry=registry)
        elif assembles(source, registry):
            import_stages([source], destination, registry)
        else:
            write_voice(destination, find_voice(source, registry).read(registry), registry=registry)
        return "a run of Allophone"
    importer = _choose(source, format_name, registry)

    with _checked(destination, registry) as folder:
        convert = importer.load("importer")
        with other_content(
            f"{source} cannot be imported as {importer.name}",
            hint="It, or a file beside it, is damaged or has another format. If it is intact, report this to "
            f"the authors of {registry.owner(importer.offered, importer.family).distribution}.",
        ):
            convert(source, folder)
    return importer.name


def import_stages(sources: Sequence[Path], destination: Path, registry: Registry) -> None:
    """Assemble the runs of several stages into one voice folder; otherwise like `import_checkpoint`."""
    for source in sources:
        if not is_run(source):
            raise UserError(
                f"{source} is not an Allophone run; only runs can be combined into one voice.",
                hint="Import checkpoints of other projects one at a time.",
            )
    with _checked(destination, registry) as folder:
        assemble(sources, folder, registry)


def recognises_checkpoint(source: Path, registry: Registry) -> bool:
    """Whether an importer recognises another project's checkpoint."""
    return any(True for _ in recognising(source, formats("importers", registry)))


def find_or_import(place: str | Path, registry: Registry) -> VoiceSource:
    """Find a voice like `find_voice`; another project's checkpoint is first converted by `_import_cached`."""
    path = voice_path(place, registry)
    if not (path / VOICE).is_file() and not is_run(path) and path.exists():
        path = _import_cached(path, registry)
    return find_voice(path, registry)


def _import_cached(source: Path, registry: Registry) -> Path:
    """Convert another project's checkpoint to a voice folder in the user's cache, once, and return its path.

    Raises UserError like `import_checkpoint`.
    """
    files = companion_files(source) if source.is_file() else []
    importer = _choose(source, None, registry)
    owner = registry.owner(importer.offered, importer.family)
    key = [importer.name, owner.version, *map(digest, files)]
    folder = cache_folder() / "imported" / f"{source.stem}-{digest_of(key, size=8)}"
    if not folder.exists():
        # Another process may be converting it already.
        with name_locked(folder.with_name(f"{folder.name}-converting"), wait=True):
            if not folder.exists():
                _log.warning("Converting %s for the engine torch; this is done only once.", source)
                import_checkpoint(source, folder, importer.name, registry)
    return folder


@contextmanager
def _checked(destination: Path, registry: Registry) -> Iterator[Path]:
    """Yield a temporary path; its content is moved to `destination` once it has been loaded as a check."""
    with atomic_folder(destination) as folder:
        inner = folder / destination.name
        yield inner
        _check(inner, registry)
        for path in inner.iterdir():
            shutil.move(path, folder / path.name)
        inner.rmdir()


def _choose(source: Path, format_name: str | None, registry: Registry) -> Format:
    importers = {format.name: format for format in formats("importers", registry)}
    if format_name is not None:
        if format_name not in importers:
            raise registry.missing(
                "models",
                format_name,
                message=f"There is no importer '{format_name}'.",
                known=importers,
            )
        return importers[format_name]
    matches = [format.name for format in recognising(source, importers.values())]
    if len(matches) == 1:
        return importers[matches[0]]
    listed = "\n".join(
        f"  {name}: {importers[name].entry.summary}" for name in matches or sorted(importers)
    )
    if matches:
        raise UserError(
            f"{source} matches {len(matches)} formats:\n{listed}",
            hint="Choose one with --as.",
        )
    raise UserError(
        f"No importer recognises {source}."
        + (f" Installed importers:\n{listed}" if listed else ""),
        hint="If it has one of these formats, choose it with --as. Other plugins may have more importers.",
    )


def _check(folder: Path, registry: Registry) -> None:
    """Load the imported folder, so that errors show now and not at first use."""
    device = torch.device("cpu")
    if (folder / VOICE).is_file():
        build_synthesizer(read_voice(folder, registry), device, registry)
    else:
        spec = read_vocoder(folder, registry).spec
        load_vocoder(folder, spec.audio, device=device, registry=registry)
