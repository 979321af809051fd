"""Reads the corpora of an experiment and writes its manifest: `allophone prepare`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
    write_dropped,
    write_manifest,
)
from allophone.errors import UserError, reason_of
from allophone.frontend import resolve_language
from allophone.locks import folder_locked
from allophone.preparation.corpora import read_corpus
from allophone.preparation.splits import assign_splits
from allophone.progress import Track, untracked
from allophone.registry import Registry

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
    found: dict[str, list[Utterance]] = {}
    counts: dict[str, CorpusCount] = {}
    for name, read in _readers(experiment, registry):
        items = list(track(read, total=None, description=f"Reading {name}"))
        found[name] = [item for item in items if isinstance(item, Utterance)]
        counts[name] = _counted(name, found[name], [i for i in items if isinstance(i, BadRow)])
    split = assign_splits(list(found.values()), experiment.data.splits)
    if experiment.data.labels is not None:
        split = _labelled(split, Path(experiment.data.labels).expanduser())
    default = experiment.text.language
    languages = {utterance.language or default for utterance in split}
    for language in languages:
        resolve_language(experiment.text, language, registry)
    manifest = Path(experiment.data.directory).expanduser() / MANIFEST
    bad_rows = manifest.with_name(BAD_ROWS)
    with folder_locked(manifest.parent):
        write_manifest(manifest, split)
        write_dropped(
            bad_rows,
            {
                row.where: Dropped(reason="bad row", detail=row.message)
                for count in counts.values()
                for row in count.bad_rows
            },
        )
    by_split = Counter(utterance.split for utterance in split)
    return Prepared(
        manifest=manifest,
        corpora=counts,
        splits={name: by_split[name] for name in SPLITS},
        speakers=len({utterance.speaker for utterance in split}),
        languages=tuple(sorted(languages)),
        unlabelled=tuple(u.id for u in split if u.labels is None) if experiment.data.labels else (),
        bad_rows=bad_rows,
    )


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


def _labelled(utterances: Sequence[Utterance], folder: Path) -> list[Utterance]:
    """Set `labels` of each utterance to its file in the folder, or to None if there is none."""
    if not folder.is_dir():
        raise UserError(f"data.labels: {folder.absolute()} is not a folder.")
    labelled = [evolve(u, labels=_label_file(u, folder.absolute())) for u in utterances]
    if not any(utterance.labels for utterance in labelled):
        first = labelled[0].id
        raise UserError(
            f"Found no label file for any of {len(labelled)} utterances in {folder.absolute()}.",
            hint=f"Expected names such as {first}{_LABELS[0]} or {first}{_LABELS[1]}, in this folder "
            "or in a subfolder named after the speaker.",
        )
    return labelled


def _label_file(utterance: Utterance, folder: Path) -> str | None:
    folders = [folder] if utterance.speaker is None else [folder, folder / utterance.speaker]
    files = (parent / f"{utterance.id}{suffix}" for parent in folders for suffix in _LABELS)
    return next((str(path) for path in files if path.is_file()), None)


def _counted(name: str, utterances: Sequence[Utterance], bad_rows: Sequence[BadRow]) -> CorpusCount:
    if bad_rows and not utterances:
        raise UserError(
            f"None of {len(bad_rows)} rows of the corpus '{name}' holds an utterance. "
            f"{bad_rows[0].message}",
            hint=bad_rows[0].hint,
        )
    if not utterances:
        raise UserError(f"The corpus '{name}' has no utterances.")
    unnamed = sum(utterance.speaker is None for utterance in utterances)
    if 0 < unnamed < len(utterances):
        raise UserError(
            f"{unnamed} of {len(utterances)} utterances of the corpus '{name}' have no speaker.",
            hint="Give a speaker for all utterances or for none.",
        )
    missing = tuple(u.id for u in utterances if not os.path.isfile(u.audio))
    if len(missing) == len(utterances):
        raise UserError(
            f"All {len(utterances)} recordings of the corpus '{name}' are missing. The first is "
            f"{utterances[0].audio}.",
            hint="Check that root is the right folder and that the corpus was unpacked completely.",
        )
    return CorpusCount(utterances=len(utterances), missing=missing, bad_rows=tuple(bad_rows))
