"""Utterances and the manifest that lists them, one JSON object per line.

Imports the standard library and attrs only.
"""

from __future__ import annotations

import json
import math
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from attrs import asdict, field, fields_dict, frozen, validators

from allophone.errors import UserError, near_miss, reason_of, shown
from allophone.files.atomic import atomic_path, atomic_write
from allophone.files.parsing import parse_json_object, why_not_text

Split = Literal["train", "valid", "test", "golden_test"]
SPLITS: tuple[Split, ...] = get_args(Split)
MANIFEST = "manifest.jsonl"
"""File name of the manifest in the data directory of an experiment."""

ID_BYTES = 200
"""How long an id may be: file systems take names of 255 bytes, and endings come after it."""


def _text(instance: Any, attribute: Any, value: Any) -> None:
    """Refuse what is no text that can be written to a file and passed to a library."""
    if wrong := why_not_text(value):
        raise ValueError(f"{attribute.name} {wrong}")


def _some_text(instance: Any, attribute: Any, value: Any) -> None:
    _text(instance, attribute, value)
    if not value:
        raise ValueError(f"{attribute.name} is empty")


def _seconds(instance: Any, attribute: Any, value: Any) -> None:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{attribute.name} must be a finite number of seconds, not {shown(value)}")


_optional_text = validators.optional(_text)
_optional_seconds = validators.optional(_seconds)


@frozen(kw_only=True)
class Utterance:
    """One recorded utterance with its transcript.

    id: unique in the manifest; used in file names, so it has no whitespace, no path separators and
        at most 200 bytes in UTF-8.
    audio: path of the recording.
    start, end: bounds of the utterance in a longer recording, in seconds; None is its start or end.
    text: the transcript; may be empty for corpora without transcripts.
    speaker, language: names, or None if unknown.
    labels: path of the phone alignment, if the corpus has one.
    group: utterances with the same group stay in one split, such as those of one song; if None, only
        utterances with the same speaker and text stay together.
    corpus: name of the corpus in the experiment; set by `prepare`.
    split: None until `prepare` assigns one.
    """

    id: str = field()
    audio: str = field(validator=_some_text)
    text: str = field(validator=_text)
    speaker: str | None = field(default=None, validator=_optional_text)
    language: str | None = field(default=None, validator=_optional_text)
    start: float | None = field(default=None, validator=_optional_seconds)
    end: float | None = field(default=None, validator=_optional_seconds)
    labels: str | None = field(default=None, validator=_optional_text)
    group: str | None = field(default=None, validator=_optional_text)
    corpus: str | None = field(default=None, validator=_optional_text)
    split: Split | None = field(default=None)

    @id.validator
    def _names_a_file(self, attribute: object, id: object) -> None:
        _text(self, attribute, id)
        if not re.fullmatch(r"[^/\\\s]+", self.id):
            raise ValueError(
                f"the id {shown(id)} must be a word without spaces and path separators"
            )
        if (size := len(self.id.encode())) > ID_BYTES:
            raise ValueError(
                f"the id {shown(id)} has {size} bytes; expected at most {ID_BYTES}, since it names files"
            )

    @split.validator
    def _known_split(self, attribute: object, split: object) -> None:
        if split is not None and split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {shown(split)}")

    def __attrs_post_init__(self) -> None:
        start = 0.0 if self.start is None else self.start
        if start < 0 or (self.end is not None and self.end <= start):
            raise ValueError(
                f"start ({self.start}) must be at least 0 and less than end ({self.end})"
            )


_FIELDS = tuple(fields_dict(Utterance))


@frozen(kw_only=True)
class Dropped:
    """Why an utterance was dropped.

    reason: a short phrase to count by, the same for all utterances with the same problem: "unreadable
        audio", "too short", "too long", "empty text", "unknown symbol".
    detail: what is wrong with this utterance.
    """

    reason: str
    detail: str


@frozen(kw_only=True)
class Remark:
    """What is odd about an utterance that is used all the same: a reason that is counted, and a detail."""

    reason: str
    detail: str


@frozen(kw_only=True)
class BadRow:
    """A row of a list that holds no utterance: a reader yields it in the place of one, and goes on.

    where: the file and the line, as in "metadata.csv:12". message: what is wrong with it.
    hint: what to do, where it is likely that all other rows have the same trouble.
    """

    where: str
    message: str
    hint: str | None = None


def utterance_from_plain(plain: Mapping[str, Any], *, where: str) -> Utterance:
    """Build an utterance from plain data. Raises UserError with the location if it is invalid."""
    known = fields_dict(Utterance)
    for name in plain:
        if name not in known:
            raise UserError(f"{where} has an unknown field {shown(name)}. {near_miss(name, known)}")
    missing = [name for name in ("id", "audio", "text") if name not in plain]
    if missing:
        raise UserError(f"{where} lacks {' and '.join(missing)}.")
    try:
        return Utterance(**plain)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where} is not a valid utterance: {reason_of(error)}") from error


def read_manifest(path: str | Path, split: Split | None = None) -> tuple[Utterance, ...]:
    """Read a manifest, or one split of it. Raises UserError with the line of an error."""
    lines = manifest_lines(Path(path))
    utterances = tuple(one for _, _, one in lines if split is None or one.split == split)
    refuse_same_ids(utterances)
    return utterances


def manifest_lines(path: Path) -> Iterator[tuple[int, int, Utterance]]:
    """Yield the lines of a manifest: where each begins and ends in the file, in bytes, and its utterance.

    Raises UserError with the line of an error, but does not notice two utterances with the same id.
    """
    end = 0
    empty = True
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                start, end = end, end + len(line)
                if not line.isspace():
                    empty = False
                    yield start, end, utterance_from_line(line, where=f"{path}:{number}")
    except OSError as error:
        raise UserError(f"The manifest {path} cannot be read: {error}") from error
    if empty:
        raise UserError(f"The manifest {path} is empty.")


def checked_before(line: bytes) -> Utterance:
    """Parse a line that `utterance_from_line` has accepted before, in a fraction of the time."""
    plain = json.loads(line)
    utterance = object.__new__(Utterance)
    for name in _FIELDS:
        object.__setattr__(utterance, name, plain.get(name))
    return utterance


def utterance_from_line(line: bytes, *, where: str) -> Utterance:
    """Parse a line of a manifest. Raises UserError with the location if it is invalid."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where} is not in UTF-8: {error}", hint="Save the manifest in UTF-8."
        ) from error
    plain = parse_json_object(
        text, where, hint="Write the manifest again with `allophone prepare`."
    )
    return utterance_from_plain(plain, where=where)


def write_manifest(path: str | Path, utterances: Iterable[Utterance]) -> None:
    """Write a manifest atomically, line by line. Raises UserError if two utterances have the same id."""
    hashes = array("Q")
    with atomic_path(Path(path)) as temporary:
        with temporary.open("wb") as file:
            for utterance in utterances:
                file.write(line_of(utterance))
                hashes.append(hash(utterance.id) % 2**64)
        # Here, because most of those that read manifests do not need it.
        import numpy as np

        ordered = np.sort(np.frombuffer(hashes, np.uint64))
        twice = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
        if twice:
            with temporary.open("rb") as file:
                written = map(checked_before, file)
                refuse_same_ids(one for one in written if hash(one.id) % 2**64 in twice)


def line_of(utterance: Utterance) -> bytes:
    """The line of an utterance in a manifest, for `checked_before` and others."""
    plain = asdict(utterance, filter=lambda _, value: value is not None)
    return json.dumps(plain, ensure_ascii=False).encode() + b"\n"


def write_dropped(path: Path, dropped: Mapping[str, Dropped]) -> None:
    """Write the dropped utterances and their reasons, one JSON object per line."""
    with atomic_write(path) as file:
        for id, why in dropped.items():
            line = {"id": id, "reason": why.reason, "detail": why.detail}
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")


def refuse_same_ids(utterances: Iterable[Utterance]) -> None:
    """Raise UserError if two utterances have the same id."""
    seen: dict[str, Utterance] = {}
    for utterance in utterances:
        other = seen.setdefault(utterance.id, utterance)
        if other is not utterance:
            raise UserError(
                f"Two utterances have the id '{utterance.id}': {other.audio} and {utterance.audio}",
                hint="Give each utterance a unique id.",
            )
