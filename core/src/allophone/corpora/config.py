"""Config classes of `[[data.corpora]]`: the base class, and that of the reader `table`. Imports attrs only."""

from __future__ import annotations

import re
from typing import Any

from attrs import field, frozen, validators

_not_empty: Any = validators.min_len(1)

TABLE_COLUMNS = (
    "id",
    "audio",
    "text",
    "speaker",
    "language",
    "split",
    "start",
    "end",
    "labels",
    "group",
)
"""Names for the columns of a table and the keys of a JSONL file: the fields of an utterance."""


@frozen(kw_only=True)
class CorpusConfig:
    """Base class for the config of a corpus on disk.

    root: folder that the corpus was unpacked to; `~` is the home directory.
    language: language code of the corpus, as the phonemizer expects it; None uses that of `[text]`.
    weight: how often each training utterance occurs in an epoch: 2 is twice, 0.5 is every other epoch.
    """

    root: str = field(validator=_not_empty)
    language: str | None = None
    weight: float = field(default=1.0, validator=validators.gt(0))


@frozen(kw_only=True)
class TableConfig(CorpusConfig):
    """A corpus listed in a file with one utterance per line.

    file: path relative to `root`. A `.jsonl` file has one JSON object per line, with the fields of an
        utterance as keys; any other file is a table without a header.
    columns: names of the table's columns: id, audio, text, speaker, language, split, start, end
        (seconds), labels, group (utterances to keep in one split, such as those of a song), or "-" to
        skip a column. Must include audio and text.
    delimiter: character between two columns. Quoted fields are supported only with a comma; with any
        other delimiter a quotation mark is part of the text.
    audio: path of a recording relative to `root`, with `{}` for the value of the audio column:
        "wavs/{}.wav".
    speaker: speaker of utterances that name none.
    ignore: keys of the JSON objects to ignore.
    """

    file: str = "metadata.csv"
    columns: tuple[str, ...] = field(default=("audio", "text"))
    delimiter: str = field(default="|", validator=[_not_empty, validators.max_len(1)])
    audio: str = field(default="{}")
    speaker: str | None = None
    ignore: tuple[str, ...] = ()

    @audio.validator
    def _has_one_place(self, attribute: object, pattern: str) -> None:
        if not re.fullmatch(r"[^{}]*\{\}[^{}]*", pattern):
            raise ValueError(
                'audio must hold {} once, where the cell of the column "audio" goes, and no other braces, as '
                f"in 'wavs/{{}}.wav'; it is {pattern!r}"
            )

    @columns.validator
    def _known_columns(self, attribute: object, columns: tuple[str, ...]) -> None:
        known = (*TABLE_COLUMNS, "-")
        unknown = [column for column in columns if column not in known]
        if unknown:
            raise ValueError(f"has an unknown column {unknown[0]!r}; available: {', '.join(known)}")
        named = [column for column in columns if column != "-"]
        if len(set(named)) < len(named):
            raise ValueError("names a column twice")
        if not {"audio", "text"} <= set(named):
            raise ValueError("must name 'audio' and 'text'")
