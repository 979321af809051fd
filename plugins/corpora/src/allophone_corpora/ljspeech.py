"""LJSpeech 1.1 (Ito and Johnson 2017): `metadata.csv` and `wavs/`."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.corpora.reading import corpus_root, identifier, read_lines
from allophone.data.manifest import Utterance
from allophone.errors import UserError
from allophone_corpora.config import LJSpeechConfig


def read(config: LJSpeechConfig) -> Iterator[Utterance]:
    """One utterance per line `id|original text|normalized text`."""
    root = corpus_root(config, "metadata.csv", "wavs")
    for where, line in read_lines(root / "metadata.csv"):
        fields = line.split("|")
        if len(fields) != 3:
            raise UserError(
                f"{where} has {len(fields)} fields separated by '|', but LJSpeech has 3: "
                "id|original text|normalized text.",
                hint='For other columns, use type = "table".',
            )
        name, original, normalized = (field.strip() for field in fields)
        yield Utterance(
            id=identifier(name),
            audio=str(root / "wavs" / f"{name}.wav"),
            text=normalized if config.text == "normalized" else original,
            language=config.language,
        )
