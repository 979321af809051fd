"""What `allophone synthesize` is asked to say: a split of a manifest, or a list.

A list is a text file with one text a line, as `text`, as `id|text`, or as `id|text|speaker`, all its
lines alike; or a JSONL file of objects with `text` and, where wanted, `id`, `speaker`, `language`,
`prompt_text` and `prompt_audio`. What has no id is numbered.

For a voice that speaks in the voice of recordings the columns are `text|prompt_text|prompt_audio`, with
an `id|` before them where wanted; recordings are looked for in the folder of the list.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, field, fields_dict, frozen, validators

from allophone.data.manifest import SPLITS, Utterance, read_manifest
from allophone.errors import UserError, near_miss

_optional_text = validators.optional(validators.instance_of(str))


@frozen(kw_only=True)
class Request:
    """One text to be said.

    id: names the file that is made; unique in its list.
    speaker, language: names, or None for the voice's first.
    prompt_audio, prompt_text: a recording to say it in the voice of, and what is said in that; without
        the latter `text` begins with those words.
    """

    id: str = field(validator=validators.matches_re(r"[^/\\\s]+"))
    text: str = field(validator=validators.instance_of(str))
    speaker: str | None = field(default=None, validator=_optional_text)
    language: str | None = field(default=None, validator=_optional_text)
    prompt_audio: str | None = field(default=None, validator=_optional_text)
    prompt_text: str | None = field(default=None, validator=_optional_text)


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


def read_requests(path: Path, *, prompted: bool = False) -> tuple[Request, ...]:
    """The texts of a list; UserError with the line of a mistake.

    prompted: whether they are for a voice that takes prompts, which decides what columns mean.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The list {path} cannot be read: {error}") from error
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise UserError(f"The list {path} is empty.")
    if path.suffix == ".jsonl":
        fields = _from_json(path, lines)
    else:
        fields = _from_bars(path, lines, _PROMPTED_COLUMNS if prompted else _COLUMNS)
    requests = [_request(path, number, plain) for number, plain in fields]
    _refuse_same_ids(path, requests)
    return tuple(requests)


_COLUMNS = (("text",), ("id", "text"), ("id", "text", "speaker"))
_PROMPTED_COLUMNS = (
    ("text",),
    ("text", "prompt_text", "prompt_audio"),
    ("id", "text", "prompt_text", "prompt_audio"),
)

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


def _from_bars(
    path: Path, lines: Lines, known: Sequence[tuple[str, ...]]
) -> Iterator[tuple[int, dict[str, Any]]]:
    columns = lines[0][1].count("|") + 1
    names = next((names for names in known if len(names) == columns), None)
    for number, line in lines:
        cells = [cell.strip() for cell in line.split("|")]
        if names is None or len(cells) != columns:
            raise UserError(
                f"{path}:{number} has {len(cells)} columns, the first line {columns}.",
                hint=f"All lines are alike: {', or '.join('|'.join(names) for names in known)}.",
            )
        yield number, {"id": f"{number:05d}", **dict(zip(names, cells, strict=True))}


def _request(path: Path, number: int, plain: dict[str, Any]) -> Request:
    where = f"{path}:{number}"
    try:
        request = Request(**plain)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{where} is no request: {error.args[0]}",
            hint="An id names a file: it holds neither spaces nor slashes.",
        ) from error
    return request if request.prompt_audio is None else _with_prompt(request, path.parent, where)


def _with_prompt(request: Request, folder: Path, where: str) -> Request:
    """The request with the path of its prompt made whole, and an empty text of it left out."""
    audio = folder / Path(request.prompt_audio or "").expanduser()
    if not os.path.isfile(audio):
        others = (request.text, request.prompt_text or "")
        swapped = next((other for other in others if os.path.isfile(folder / other)), None)
        raise UserError(
            f"{where}: there is no recording {audio}.",
            hint=f"'{swapped}' is one: the columns are text|prompt_text|prompt_audio, in this order."
            if swapped
            else "Recordings are looked for in the folder of the list.",
        )
    return evolve(request, prompt_audio=str(audio), prompt_text=request.prompt_text or None)


def _refuse_same_ids(path: Path, requests: Iterable[Request]) -> None:
    seen: set[str] = set()
    for request in requests:
        if request.id in seen:
            raise UserError(f"{path} has the id '{request.id}' twice; it names the file.")
        seen.add(request.id)
