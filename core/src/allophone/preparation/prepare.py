"""Reads the corpora of an experiment and writes its manifest: `allophone prepare`."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from attrs import evolve, frozen

from allophone.config import Experiment
from allophone.config.corpora import named_corpora
from allophone.data.manifest import (
    MANIFEST,
    SPLITS,
    BadRow,
    Dropped,
    Split,
    Utterance,
    checked_before,
    line_of,
    write_dropped,
    write_manifest,
)
from allophone.errors import UserError, reason_of
from allophone.files.locks import folder_locked
from allophone.files.system_errors import errors_naming
from allophone.preparation.corpora import read_corpus
from allophone.preparation.splits import assign_splits
from allophone.processes.progress import Track, untracked
from allophone.registry import Registry
from allophone.text.frontend import resolve_language

BAD_ROWS = "bad-rows.jsonl"
"""The file, beside the manifest, that names the rows of lists that hold no utterance."""

_LABELS = (".TextGrid", ".lab")
"""What the names of label files end in, in the order in which they are preferred."""


@frozen(kw_only=True)
class CorpusCount:
    """The contents of one corpus.

    missing: ids of utterances whose recording does not exist.
    bad_rows: rows of its list that hold no utterance and are left out.
    """

    utterances: int
    missing: tuple[str, ...]
    bad_rows: tuple[BadRow, ...] = ()


@frozen(kw_only=True)
class Prepared:
    """The result of `prepare`: the path of the manifest and its statistics.

    corpora: contents of each corpus, by name.
    splits: number of utterances in each split.
    speakers: number of speakers.
    unlabelled: ids of utterances without a label file in `data.labels`; empty if it is not set.
    bad_rows: the file that lists all bad rows.
    """

    manifest: Path
    corpora: Mapping[str, CorpusCount]
    splits: Mapping[Split, int]
    speakers: int
    languages: tuple[str, ...]
    unlabelled: tuple[str, ...]
    bad_rows: Path


def prepare(experiment: Experiment, registry: Registry, *, track: Track = untracked) -> Prepared:
    """Read the corpora of an experiment and write its manifest.

    With several corpora, ids, speakers and groups are prefixed with the name of the corpus. This can take
    a while, since some readers decode long recordings to segment them.

    Raises:
        UserError: for a corpus that does not match its config, if all of its recordings or all files in
            `data.labels` are missing, and for a language that the phonemizer does not support.
        PluginError: for a broken reader.
    """
    if not experiment.data.corpora:
        raise UserError(
            "The experiment has no corpus.",
            hint='Add a table [[data.corpora]] with type = "..." and root = "...".',
        )
    manifest = Path(experiment.data.directory).expanduser() / MANIFEST
    default = experiment.text.language
    counts: dict[str, CorpusCount] = {}
    by_split: Counter[Split | None] = Counter()
    speakers: set[str | None] = set()
    unlabelled: list[str] = []
    with ExitStack() as stack:
        read: list[_Read] = []
        for name, items in _readers(experiment, registry):
            read.append(stack.enter_context(_Read(manifest.parent)))
            tracked = track(items, total=None, description=f"Reading {name}")
            counts[name] = read[-1].take(name, tracked)
        languages = {language or default for one in read for language in one.languages}
        split = assign_splits(read, experiment.data.splits)
        if experiment.data.labels is not None:
            split = _labelled(split, Path(experiment.data.labels).expanduser())
        for language in languages:
            resolve_language(experiment.text, language, registry)

        def counted() -> Iterator[Utterance]:
            for utterance in split:
                by_split[utterance.split] += 1
                speakers.add(utterance.speaker)
                if experiment.data.labels is not None and utterance.labels is None:
                    unlabelled.append(utterance.id)
                yield utterance

        bad_rows = manifest.with_name(BAD_ROWS)
        with folder_locked(manifest.parent):
            write_manifest(manifest, counted())
            write_dropped(
                bad_rows,
                {
                    row.where: Dropped(reason="bad row", detail=row.message)
                    for count in counts.values()
                    for row in count.bad_rows
                },
            )
    return Prepared(
        manifest=manifest,
        corpora=counts,
        splits={name: by_split[name] for name in SPLITS},
        speakers=len(speakers),
        languages=tuple(sorted(languages)),
        unlabelled=tuple(unlabelled),
        bad_rows=bad_rows,
    )


class _Read:
    """The utterances of a corpus, in a temporary file: a corpus of millions need not fit in memory.

    languages: those that occur.
    """

    def __init__(self, folder: Path) -> None:
        """folder: of the manifest; the file, which has no name, is on the same disk."""
        self._folder = folder
        self.languages: set[str | None] = set()
        # The folder is not made before all is known to be right.
        there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.is_dir())
        with errors_naming(folder, there):
            self._file = tempfile.TemporaryFile(dir=there)  # noqa: SIM115

    def __enter__(self) -> _Read:
        return self

    def __exit__(self, *error: object) -> None:
        with errors_naming(self._folder):
            self._file.close()

    def __iter__(self) -> Iterator[Utterance]:
        with errors_naming(self._folder):
            self._file.seek(0)
        return map(checked_before, self._file)

    def take(self, name: str, items: Iterable[Utterance | BadRow]) -> CorpusCount:
        """Write the utterances of a reader. Raises UserError if they cannot be those of a corpus."""
        count = unnamed = 0
        missing: list[str] = []
        bad_rows: list[BadRow] = []
        for item in items:
            if isinstance(item, BadRow):
                bad_rows.append(item)
                continue
            count += 1
            unnamed += item.speaker is None
            self.languages.add(item.language)
            if not os.path.isfile(item.audio):
                missing.append(item.id)
            with errors_naming(self._folder):
                self._file.write(line_of(item))
        if bad_rows and not count:
            raise UserError(
                f"None of {len(bad_rows)} rows of the corpus '{name}' holds an utterance. "
                f"{bad_rows[0].message}",
                hint=bad_rows[0].hint,
            )
        if not count:
            raise UserError(f"The corpus '{name}' has no utterances.")
        if 0 < unnamed < count:
            raise UserError(
                f"{unnamed} of {count} utterances of the corpus '{name}' have no speaker.",
                hint="Give a speaker for all utterances or for none.",
            )
        if len(missing) == count:
            raise UserError(
                f"All {count} recordings of the corpus '{name}' are missing. The first is "
                f"{next(iter(self)).audio}.",
                hint="Check that root is the right folder and that the corpus was unpacked completely.",
            )
        return CorpusCount(utterances=count, missing=tuple(missing), bad_rows=tuple(bad_rows))


def _readers(
    experiment: Experiment, registry: Registry
) -> Iterator[tuple[str, Iterator[Utterance | BadRow]]]:
    """The name of each corpus, with its utterances and bad rows."""
    named = named_corpora(experiment, registry)
    for corpus in named:
        items = read_corpus(corpus, registry)
        yield corpus.name, (_of_corpus(corpus.name, item, apart=len(named) > 1) for item in items)


def _of_corpus(corpus: str, item: Utterance | BadRow, *, apart: bool) -> Utterance | BadRow:
    """An utterance that says which corpus it is of; `apart` in its id, speaker and group too."""
    if isinstance(item, BadRow):
        return item
    if not apart:
        return evolve(item, corpus=corpus)
    try:
        return evolve(
            item,
            corpus=corpus,
            id=f"{corpus}-{item.id}",
            speaker=corpus if item.speaker is None else f"{corpus}-{item.speaker}",
            group=None if item.group is None else f"{corpus}-{item.group}",
        )
    except ValueError as error:
        # An id that only with the name of its corpus is too long.
        return BadRow(where=item.id, message=f"{corpus}: {reason_of(error)}")


def _labelled(utterances: Iterable[Utterance], folder: Path) -> Iterator[Utterance]:
    """Set `labels` of each utterance to its file in the folder, or to None if there is none."""
    if not folder.is_dir():
        raise UserError(f"data.labels: {folder.absolute()} is not a folder.")

    def labelled() -> Iterator[Utterance]:
        first = None
        count = found = 0
        for utterance in utterances:
            first = first or utterance.id
            count += 1
            labels = _label_file(utterance, folder.absolute())
            found += labels is not None
            yield evolve(utterance, labels=labels)
        if not found:
            raise UserError(
                f"Found no label file for any of {count} utterances in {folder.absolute()}.",
                hint=f"Expected names such as {first}{_LABELS[0]} or {first}{_LABELS[1]}, in this folder "
                "or in a subfolder named after the speaker.",
            )

    return labelled()


def _label_file(utterance: Utterance, folder: Path) -> str | None:
    folders = [folder] if utterance.speaker is None else [folder, folder / utterance.speaker]
    files = (parent / f"{utterance.id}{suffix}" for parent in folders for suffix in _LABELS)
    return next((str(path) for path in files if path.is_file()), None)
