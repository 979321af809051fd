"""The table `[[data.corpora]]`: what every corpus has, and that of the reader `table`. Light: attrs alone."""

from __future__ import annotations

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
"""What a column of a table, or a key of a JSONL file, can hold: the fields of an utterance."""


@frozen(kw_only=True)
class CorpusConfig:
    """What every corpus of recordings on disk has.

    root: the folder that it was unpacked to; `~` is the home directory.
    language: of all its utterances, a code that the phonemizer knows; None takes that of `[text]`.
    weight: how often each of its training utterances comes in an epoch: 2 is twice, 0.5 in half of
        the epochs.
    """

    root: str = field(validator=_not_empty)
    language: str | None = None
    weight: float = field(default=1.0, validator=validators.gt(0))


@frozen(kw_only=True)
class TableConfig(CorpusConfig):
    """Your own recordings, listed in a file: one utterance a line.

    file: below `root`. A name that ends in `.jsonl` holds one JSON object a line, whose keys are the
        fields of an utterance; anything else is a table without a header.
    columns: what the columns of a table hold, out of id, audio, text, speaker, language, split,
        start, end (seconds), labels and group (what the splits keep together, such as a song); "-"
        is passed over. Audio and text must be among them.
    delimiter: what stands between two columns. With a comma, quoted fields are understood; with
        anything else a quotation mark is a character of the text.
    audio: where a recording lies below `root`, `{}` standing for what the audio column says:
        "wavs/{}.wav".
    speaker: of all utterances that name none.
    ignore: keys of the JSON objects to pass over.
    """

    file: str = "metadata.csv"
    columns: tuple[str, ...] = field(default=("audio", "text"))
    delimiter: str = field(default="|", validator=[_not_empty, validators.max_len(1)])
    audio: str = field(default="{}", validator=validators.matches_re(r"[^{}]*\{\}[^{}]*"))
    speaker: str | None = None
    ignore: tuple[str, ...] = ()

    @columns.validator
    def _known_columns(self, attribute: object, columns: tuple[str, ...]) -> None:
        known = (*TABLE_COLUMNS, "-")
        unknown = [column for column in columns if column not in known]
        if unknown:
            raise ValueError(f"there is no column {unknown[0]!r}; there is: {', '.join(known)}")
        named = [column for column in columns if column != "-"]
        if len(set(named)) < len(named):
            raise ValueError("names a column twice")
        if not {"audio", "text"} <= set(named):
            raise ValueError("must name 'audio' and 'text'")
