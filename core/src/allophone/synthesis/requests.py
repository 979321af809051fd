"""What `allophone synthesize` is asked to say: a split of a manifest, or a list.

A list is a text file with one text a line, as `text`, as `id|text`, or as `id|text|speaker`, all its
lines alike; or a JSONL file of objects with `text` and, where wanted, `id`, `speaker`, `language`.
What has no id is numbered.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from attrs import field, fields_dict, frozen, validators

from allophone.data.manifest import SPLITS, Utterance, read_manifest
from allophone.errors import UserError, near_miss

_optional_text = validators.optional(validators.instance_of(str))


@frozen(kw_only=True)
class Request:
    """One text to be said.

    id: names the file that is made; unique in its list.
    speaker, language: names, or None for the voice's first.
    """

    id: str = field(validator=validators.matches_re(r"[^/\\\s]+"))
    text: str = field(validator=validators.instance_of(str))
    speaker: str | None = field(default=None, validator=_optional_text)
    language: str | None = field(default=None, validator=_optional_text)


def utterances_of_split(manifest: Path, split: str) -> tuple[Utterance, ...]:
    """A split of a manifest; UserError where it has nothing in it."""
    if split not in SPLITS:
        raise UserError(f"There is no split '{split}'.", hint=near_miss(split, SPLITS))
    utterances = tuple(one for one in read_manifest(manifest) if one.split == split)
    if not utterances:
        raise UserError(f"{manifest} has no utterances in the split '{split}'.")
    return utterances


def requests_of_split(manifest: Path, split: str) -> tuple[Request, ...]:
    """The texts of a split of a manifest; UserError where there is none."""
    return tuple(
        Request(id=one.id, text=one.text, speaker=one.speaker, language=one.language)
        for one in utterances_of_split(manifest, split)
    )


def read_requests(path: Path) -> tuple[Request, ...]:
    """The texts of a list; UserError with the line of a mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The list {path} cannot be read: {error}") from error
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise UserError(f"The list {path} is empty.")
    fields = _from_json if path.suffix == ".jsonl" else _from_bars
    requests = [_request(plain, f"{path}:{number}") for number, plain in fields(path, lines)]
    _refuse_same_ids(path, requests)
    return tuple(requests)


Lines = list[tuple[int, str]]


def _from_json(path: Path, lines: Lines) -> Iterator[tuple[int, dict[str, Any]]]:
    known = fields_dict(Request)
    for number, line in lines:
        try:
            plain = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}:{number} is no JSON: {error}") from error
        if not isinstance(plain, dict) or "text" not in plain:
            raise UserError(f'{path}:{number} is no JSON object with a "text".')
        for name in plain:
            if name not in known:
                raise UserError(
                    f"{path}:{number} has an unknown field '{name}'.", hint=near_miss(name, known)
                )
        yield number, {"id": f"{number:05d}", **plain}


def _from_bars(path: Path, lines: Lines) -> Iterator[tuple[int, dict[str, Any]]]:
    columns = lines[0][1].count("|") + 1
    names = {1: ("text",), 2: ("id", "text"), 3: ("id", "text", "speaker")}.get(columns)
    for number, line in lines:
        cells = [cell.strip() for cell in line.split("|")]
        if names is None or len(cells) != columns:
            raise UserError(
                f"{path}:{number} has {len(cells)} columns, the first line {columns}.",
                hint="All lines are alike: text, id|text, or id|text|speaker.",
            )
        yield number, {"id": f"{number:05d}", **dict(zip(names, cells, strict=True))}


def _request(plain: dict[str, Any], where: str) -> Request:
    try:
        return Request(**plain)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{where} is no request: {error.args[0]}",
            hint="An id names a file: it holds neither spaces nor slashes.",
        ) from error


def _refuse_same_ids(path: Path, requests: Iterable[Request]) -> None:
    seen: set[str] = set()
    for request in requests:
        if request.id in seen:
            raise UserError(f"{path} has the id '{request.id}' twice; it names the file.")
        seen.add(request.id)
