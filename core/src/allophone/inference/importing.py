"""Turning checkpoints of other projects, and runs of one's own, into voice and vocoder folders."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from allophone.atomic import folder_whole
from allophone.cache import cache_folder
from allophone.data.digests import digest_of
from allophone.errors import UserError
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
from allophone.run_folder import is_run
from allophone.synthesis.description import VOICE
from allophone.synthesis.ledger import digest
from allophone.synthesis.loading import beside

_log = logging.getLogger(__name__)


def import_checkpoint(
    source: Path, destination: Path, format_name: str | None, registry: Registry
) -> str:
    """Write the folder of the voice or vocoder that `source` holds, and load it once as a check.

    format_name: "<family>.<format>"; None asks each importer whether it recognises `source`. A run or
        one of its checkpoints needs no importer.
    Returns what it was read as. Raises UserError when `destination` exists, when no importer or more
    than one recognises `source`, and for what an importer finds wrong with it.
    """
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
        importer.load("importer")(source, folder)
    return importer.name


def import_stages(sources: Sequence[Path], destination: Path, registry: Registry) -> None:
    """Write the voice that the runs of its stages make together; as `import_checkpoint` otherwise."""
    for source in sources:
        if not is_run(source):
            raise UserError(
                f"{source} is no run of Allophone, and only runs make a voice together.",
                hint="Import one at a time.",
            )
    with _checked(destination, registry) as folder:
        assemble(sources, folder, registry)


def recognises_checkpoint(source: Path, registry: Registry) -> bool:
    """Whether an importer recognises another project's checkpoint."""
    return any(True for _ in recognising(source, formats("importers", registry)))


def find_or_import(place: str | Path, registry: Registry) -> VoiceSource:
    """As `find_voice`; another project's checkpoint is converted first, once, into the user's cache."""
    path = voice_path(place, registry)
    if not (path / VOICE).is_file() and not is_run(path) and path.exists():
        path = _import_cached(path, registry)
    return find_voice(path, registry)


def _import_cached(source: Path, registry: Registry) -> Path:
    """The voice folder of another project's checkpoint, converted once into the user's cache.

    Raises UserError as `import_checkpoint` does.
    """
    files = beside(source) if source.is_file() else []
    importer = _choose(source, None, registry)
    owner = registry.owner(importer.offered, importer.family)
    told = [importer.name, owner.version, *map(digest, files)]
    folder = cache_folder() / "imported" / f"{source.stem}-{digest_of(told, size=8)}"
    if not folder.exists():
        _log.warning("Converting %s for the engine torch; this happens once.", source)
        try:
            import_checkpoint(source, folder, importer.name, registry)
        except UserError:
            # Another process may have been quicker; a folder is there whole or not at all.
            if not folder.exists():
                raise
    return folder


@contextmanager
def _checked(destination: Path, registry: Registry) -> Iterator[Path]:
    """Where to write a folder that takes its place once it was found to load."""
    with folder_whole(destination) as folder:
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
    fitting = [format.name for format in recognising(source, importers.values())]
    if len(fitting) == 1:
        return importers[fitting[0]]
    listed = "\n".join(
        f"  {name}: {importers[name].entry.summary}" for name in fitting or sorted(importers)
    )
    if fitting:
        raise UserError(
            f"{source} may be any of {len(fitting)} formats:\n{listed}",
            hint="Say which with --as.",
        )
    raise UserError(
        f"No importer recognises {source}." + (f" There is:\n{listed}" if listed else ""),
        hint="If it is one of these, say so with --as; a plugin may have others.",
    )


def _check(folder: Path, registry: Registry) -> None:
    """Load what was written: what is broken shall be seen now, not when it is first used."""
    device = torch.device("cpu")
    if (folder / VOICE).is_file():
        build_synthesizer(read_voice(folder, registry), device, registry)
    else:
        spec = read_vocoder(folder, registry).spec
        load_vocoder(folder, spec.audio, device=device, registry=registry)
