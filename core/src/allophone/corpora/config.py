"""The tables `[[data.corpora]]` of core's own readers. Light: attrs alone."""

from __future__ import annotations

from typing import Any, Literal

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
    language: of all its utterances, as espeak-ng writes it; None takes that of `[text]`.
    weight: how often each of its training utterances comes in an epoch: 2 is twice, 0.5 every other
        epoch.
    """

    root: str = field(validator=_not_empty)
    language: str | None = None
    weight: float = field(default=1.0, validator=validators.gt(0))


@frozen(kw_only=True)
class LJSpeechConfig(CorpusConfig):
    """LJSpeech 1.1, and what others have recorded in its layout.

    text: which of the two transcripts of `metadata.csv`: numbers written out or as they were printed.
    """

    text: Literal["normalized", "original"] = "normalized"


@frozen(kw_only=True)
class VCTKConfig(CorpusConfig):
    """VCTK 0.92.

    microphones: which of its recordings of each sentence; those of one sentence share a split.
    """

    microphones: tuple[Literal["mic1", "mic2"], ...] = field(
        default=("mic1",), validator=_not_empty
    )


@frozen(kw_only=True)
class LibriTTSConfig(CorpusConfig):
    """LibriTTS and LibriTTS-R.

    Where dev-* or test-* are among the subsets, the published splits are kept, each with speakers of
    its own. With train-* alone, the splits are shared out as `[data.splits]` says, which is what a
    model needs that knows its speakers by name.

    subsets: the folders to read, such as "train-clean-360".
    text: which of the two transcripts: numbers written out or as they were printed.
    """

    subsets: tuple[str, ...] = field(default=("train-clean-100",), validator=_not_empty)
    text: Literal["normalized", "original"] = "normalized"


@frozen(kw_only=True)
class FestvoxConfig(CorpusConfig):
    """A voice of the Festvox project: `wav/`, `etc/txt.done.data` and, where it is there, `lab/`.

    stress_mark: a character that stands before the stressed vowel in the transcripts ("+" in Debian's
        festvox-ru); it becomes an acute accent on the vowel. A phonemizer would read it aloud: "plus".
    """

    stress_mark: str | None = field(
        default=None, validator=validators.optional([_not_empty, validators.max_len(1)])
    )


@frozen(kw_only=True)
class AsteriskConfig(CorpusConfig):
    """Prompts of the Asterisk telephone exchange, one speaker a folder.

    root: the folder of one speaker, such as `sounds/en_US_f_Allison`.
    transcripts: a file of lines `path: text`, which may be gzipped; seen from `root`.
    """

    transcripts: str = "/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"


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
