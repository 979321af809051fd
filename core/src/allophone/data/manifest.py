"""Utterances, and the manifest that lists them: one JSON object a line.

Light: the standard library and attrs.
"""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen, validators

Split = Literal["train", "valid", "test", "golden_test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test", "golden_test")


@frozen(kw_only=True)
class Utterance:
    """One recording of one piece of text.

    id: unique in its manifest; it names what is made of the utterance, so it holds no path separator.
    audio: the path of the recording.
    start, end: seconds that bound the utterance in a longer recording; None is its beginning or end.
    text: what is said, as written; may be empty for corpora that have no transcripts.
    speaker, language: names, None where the corpus knows none.
    labels: the path of a file with the times of phones, where the corpus has one.
    split: None until the manifest assigns one.
    """

    id: str = field(validator=validators.matches_re(r"[^/\\\s]+"))
    audio: str
    text: str
    speaker: str | None = None
    language: str | None = None
    start: float | None = None
    end: float | None = None
    labels: str | None = None
    split: Split | None = None
