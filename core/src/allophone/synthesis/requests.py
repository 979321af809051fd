"""The texts for `allophone synthesize`, from a split of a manifest or from a list.

A list is a text file with one text per line, as `text`, `id|text` or `id|text|speaker`, the same on all
lines; or a JSONL file of objects with `text` and optionally `id`, `speaker`, `language`, `prompt_text` and
`prompt_audio`. Without ids, the line number is used.

For voices that take prompts, the columns are `text|prompt_text|prompt_audio`, optionally preceded by `id|`.
Paths of recordings are relative to the folder of the list.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, field, fields_dict, frozen, validators

from allophone.data.manifest import ID_BYTES, SPLITS, Utterance, read_manifest
from allophone.errors import UserError, near_miss
from allophone.files.parsing import parse_json, why_not_text

_optional_text = validators.optional(validators.instance_of(str))


@frozen(kw_only=True)
class Request:
    """One text to synthesize.

    id: the name of the output file without extension; unique in its list.
    speaker, language: names, or None for the voice's first.
    prompt_audio, prompt_text: a recording of the speaker to clone, and its transcript; without
        `prompt_text`, `text` must begin with the transcript.
    """

    id: str = field(validator=validators.matches_re(r"[^/\\\s]+"))
    text: str = field(validator=validators.instance_of(str))
    speaker: str | None = field(default=None, validator=_optional_text)
    language: str | None = field(default=None, validator=_optional_text)
    prompt_audio: str | None = field(default=None, validator=_optional_text)
    prompt_text: str | None = field(default=None, validator=_optional_text)

    @id.validator
    def _names_a_file(self, attribute: object, id: str) -> None:
        if wrong := why_not_text(id):
            raise ValueError(f"id {wrong}")
        if len(id.encode()) > ID_BYTES:
            raise ValueError(f"id has {len(id.encode())} bytes; expected at most {ID_BYTES}")


def utterances_of_split(manifest: Path, split: str) -> tuple[Utterance, ...]:
    """Read the utterances of a split; UserError if the split is unknown or empty."""
    if split not in SPLITS:
        raise UserError(f"There is no split '{split}'.", hint=near_miss(split, SPLITS))
    utterances = read_manifest(manifest, split)
    if not utterances:
        raise UserError(f"{manifest} has no utterances in the split '{split}'.")
    return utterances


def requests_of_split(manifest: Path, split: str) -> tuple[Request, ...]:
    """Read the texts of a split; UserError if the split is unknown or empty."""
    return tuple(
        Request(id=one.id, text=one.text, speaker=one.speaker, language=one.language)
        for one in utterances_of_split(manifest, split)
    )


def read_requests(path: Path, *, prompted: bool = False) -> tuple[Request, ...]:
    """Read a list of texts; UserError, with the line number, if it is invalid.

    prompted: whether the voice takes prompts, which determines the columns.
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
        fields = _from_columns(path, lines, _PROMPTED_COLUMNS if prompted else _COLUMNS)
    requests = [_request(path, number, plain) for number, plain in fields]
    _check_unique_ids(path, requests)
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
        plain = parse_json(line, f"{path}:{number}")
        if not isinstance(plain, dict) or "text" not in plain:
            raise UserError(f'{path}:{number} is not a JSON object with a "text".')
        for name in plain:
            if name not in known:
                raise UserError(
                    f"{path}:{number} has an unknown field '{name}'.", hint=near_miss(name, known)
                )
        yield number, {"id": f"{number:05d}", **plain}


def _from_columns(
    path: Path, lines: Lines, known: Sequence[tuple[str, ...]]
) -> Iterator[tuple[int, dict[str, Any]]]:
    columns = lines[0][1].count("|") + 1
    names = next((names for names in known if len(names) == columns), None)
    for number, line in lines:
        cells = [cell.strip() for cell in line.split("|")]
        if names is None or len(cells) != columns:
            raise UserError(
                f"{path}:{number} has {len(cells)} columns; the first line has {columns}.",
                hint=f"All lines must be {', or '.join('|'.join(names) for names in known)}.",
            )
        yield number, {"id": f"{number:05d}", **dict(zip(names, cells, strict=True))}


def _request(path: Path, number: int, plain: dict[str, Any]) -> Request:
    where = f"{path}:{number}"
    try:
        request = Request(**plain)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{where} is invalid: {error.args[0]}",
            hint="An id is used as a file name and cannot contain spaces or slashes.",
        ) from error
    return request if request.prompt_audio is None else _with_prompt(request, path.parent, where)


def _with_prompt(request: Request, folder: Path, where: str) -> Request:
    """Resolve the path of the prompt, and replace an empty transcript by None."""
    audio = folder / Path(request.prompt_audio or "").expanduser()
    if not os.path.isfile(audio):
        others = (request.text, request.prompt_text or "")
        swapped = next((other for other in others if os.path.isfile(folder / other)), None)
        raise UserError(
            f"{where}: there is no recording {audio}.",
            hint=f"'{swapped}' is one; the order of the columns is text|prompt_text|prompt_audio."
            if swapped
            else "Paths of recordings are relative to the folder of the list.",
        )
    return evolve(request, prompt_audio=str(audio), prompt_text=request.prompt_text or None)


def _check_unique_ids(path: Path, requests: Iterable[Request]) -> None:
    seen: set[str] = set()
    for request in requests:
        if request.id in seen:
            raise UserError(
                f"{path} contains the id '{request.id}' twice; ids are file names and must be unique."
            )
        seen.add(request.id)
