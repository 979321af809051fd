"""Utterances and the manifest that lists them, one JSON object per line.

Imports the standard library and attrs only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from attrs import asdict, field, fields_dict, frozen, validators

from allophone.atomic import atomic_write
from allophone.errors import UserError, near_miss

Split = Literal["train", "valid", "test", "golden_test"]
SPLITS: tuple[Split, ...] = get_args(Split)
MANIFEST = "manifest.jsonl"
"""File name of the manifest in the data directory of an experiment."""

_some_text: Any = [validators.instance_of(str), validators.min_len(1)]
_optional_text = validators.optional(validators.instance_of(str))
_optional_seconds = validators.optional(validators.instance_of((int, float)))


@frozen(kw_only=True)
class Utterance:
    """One recorded utterance with its transcript.

    id: unique in the manifest; used in file names, so it has no whitespace and no path separators.
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
    text: str = field(validator=validators.instance_of(str))
    speaker: str | None = field(default=None, validator=_optional_text)
    language: str | None = field(default=None, validator=_optional_text)
    start: float | None = field(default=None, validator=_optional_seconds)
    end: float | None = field(default=None, validator=_optional_seconds)
    labels: str | None = field(default=None, validator=_optional_text)
    group: str | None = field(default=None, validator=_optional_text)
    corpus: str | None = field(default=None, validator=_optional_text)
    split: Split | None = field(default=None, validator=validators.optional(validators.in_(SPLITS)))

    @id.validator
    def _names_a_file(self, attribute: object, id: object) -> None:
        if not isinstance(id, str) or not re.fullmatch(r"[^/\\\s]+", id):
            raise ValueError(f"the id {id!r} must be a word without spaces and path separators")

    def __attrs_post_init__(self) -> None:
        start = 0.0 if self.start is None else self.start
        if start < 0 or (self.end is not None and self.end <= start):
            raise ValueError(
                f"start ({self.start}) must be at least 0 and less than end ({self.end})"
            )


@frozen(kw_only=True)
class Dropped:
    """Why an utterance was dropped.

    reason: a short phrase to count by, the same for all utterances with the same problem: "unreadable
        audio", "too short", "too long", "empty text", "unknown symbol".
    detail: what is wrong with this utterance.
    """

    reason: str
    detail: str


def utterance_from_plain(plain: Mapping[str, Any], *, where: str) -> Utterance:
    """Build an utterance from plain data. Raises UserError with the location if it is invalid."""
    known = fields_dict(Utterance)
    for name in plain:
        if name not in known:
            raise UserError(f"{where} has an unknown field '{name}'. {near_miss(name, known)}")
    missing = [name for name in ("id", "audio", "text") if name not in plain]
    if missing:
        raise UserError(f"{where} lacks {' and '.join(missing)}.")
    try:
        return Utterance(**plain)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where} is not a valid utterance: {error.args[0]}") from error


def read_manifest(path: str | Path) -> tuple[Utterance, ...]:
    """Read a manifest. Raises UserError with the line of an error."""
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The manifest {path} cannot be read: {error}") from error
    utterances = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            plain = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{path}:{number} is not valid JSON: {error}",
                hint="Write the manifest again with `allophone prepare`.",
            ) from error
        if not isinstance(plain, dict):
            raise UserError(f"{path}:{number} is not a JSON object.")
        utterances.append(utterance_from_plain(plain, where=f"{path}:{number}"))
    if not utterances:
        raise UserError(f"The manifest {path} is empty.")
    refuse_same_ids(utterances)
    return tuple(utterances)


def write_manifest(path: str | Path, utterances: Iterable[Utterance]) -> None:
    """Write a manifest atomically. Raises UserError if two utterances have the same id."""
    utterances = list(utterances)
    refuse_same_ids(utterances)
    with atomic_write(Path(path)) as file:
        for utterance in utterances:
            plain = asdict(utterance, filter=lambda _, value: value is not None)
            file.write(json.dumps(plain, ensure_ascii=False).encode() + b"\n")


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
