"""The vocabulary of a model: its symbols, speakers and languages, with their embedding ids.

A vocabulary is fixed when a run starts and saved in every checkpoint and voice, so that ids are the same in
training and synthesis. Imports the standard library and attrs only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

from allophone.errors import UserError, near_miss
from allophone.files.atomic import atomic_write
from allophone.files.parsing import parse_json
from allophone.text.config import TextConfig
from allophone.text.symbols import BLANK, BOS, EOS, SymbolTable


@frozen(kw_only=True)
class Vocabulary:
    """The symbols, speakers and languages of a model.

    symbols: the symbol table of the text.
    speakers, languages: names in the order of their ids.
    """

    symbols: SymbolTable
    speakers: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    def speaker_id(self, name: str | None) -> int:
        """Return the id of a speaker; 0 for None. Raises UserError if the name is unknown."""
        return _position("speaker", name, self.speakers)

    def language_id(self, name: str | None) -> int:
        """Return the id of a language; 0 for None. Raises UserError if the name is unknown."""
        return _position("language", name, self.languages)

    def to_json(self) -> str:
        """Serialize the vocabulary as a JSON object."""
        content = {
            "speakers": self.speakers,
            "languages": self.languages,
            "symbols": json.loads(self.symbols.to_json()),
        }
        return json.dumps(content, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """Parse the output of `to_json`. Raises UserError if it is invalid."""
        content = parse_json(text, "The vocabulary")
        if not isinstance(content, dict) or content.keys() != {"speakers", "languages", "symbols"}:
            raise UserError(
                "The vocabulary must be a JSON object with the keys speakers, languages and symbols."
            )
        names: dict[str, tuple[str, ...]] = {}
        for kind in ("speakers", "languages"):
            if not _is_list_of_names(content[kind]):
                raise UserError(f"The {kind} of a vocabulary must be a list of distinct names.")
            names[kind] = tuple(content[kind])
        return cls(symbols=SymbolTable.from_json(json.dumps(content["symbols"])), **names)


def build_vocabulary(
    text: TextConfig, *, symbols: Iterable[str], speakers: Iterable[str], languages: Iterable[str]
) -> Vocabulary:
    """Build the vocabulary of a corpus, sorted so that it does not depend on the order of utterances."""
    table = SymbolTable.from_symbols(
        symbols,
        blank=BLANK if text.blank else None,
        bos=BOS if text.boundaries else None,
        eos=EOS if text.boundaries else None,
    )
    return Vocabulary(
        symbols=table,
        speakers=tuple(sorted(set(speakers))),
        languages=tuple(sorted(set(languages))),
    )


def read_vocabulary(path: Path) -> Vocabulary:
    """Read the vocabulary of a run or voice. Raises UserError if the file is missing or invalid."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The vocabulary {path} cannot be read: {error}") from error
    try:
        return Vocabulary.from_json(text)
    except UserError as error:
        raise UserError(f"{path}: {error.message}", hint=error.hint) from error


def write_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    """Write a vocabulary atomically."""
    with atomic_write(path) as file:
        file.write(vocabulary.to_json().encode())


def _is_list_of_names(value: object) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(name, str) for name in value)
        and len(set(value)) == len(value)
    )


def _position(kind: str, name: str | None, names: tuple[str, ...]) -> int:
    if name is None:
        return 0
    if name not in names:
        known = near_miss(name, names) or f"The model has one {kind}, which has no name."
        raise UserError(f"Unknown {kind} '{name}'.", hint=known)
    return names.index(name)
