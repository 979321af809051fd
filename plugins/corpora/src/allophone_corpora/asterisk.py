"""Prompts of the Asterisk telephone exchange: a list `path: text`, and recordings in folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from allophone.corpora.reading import corpus_root, read_lines
from allophone.data.manifest import Utterance
from allophone.errors import UserError
from allophone_corpora.config import AsteriskConfig

_SUFFIXES = (".wav", ".flac", ".sln16", ".g722")
"""In order of preference, lossless formats first."""
_STAGE_DIRECTION = re.compile(r"\[[^\]]*\]")


def read(config: AsteriskConfig) -> Iterator[Utterance]:
    """One utterance per line; `;` begins a comment, and text in brackets is not spoken.

    Prompts that are not speech ("[ascending tones]") have an empty text. A transcript without a
    recording is listed with the expected path of its recording.
    """
    root = corpus_root(config)
    path = root / Path(config.transcripts).expanduser()
    if not path.exists():
        raise UserError(
            f"There is no file of transcripts at {path}.",
            hint="Set transcripts in [[data.corpora]] to the transcripts of the recordings.",
        )
    for where, line in read_lines(path):
        if line.startswith(";"):
            continue
        prompt, colon, text = line.partition(":")
        if not colon:
            raise UserError(f"{where} is not of the form path: text: {line[:60]}")
        yield Utterance(
            id=prompt.strip().replace("/", "_"),
            audio=str(_recording(root, prompt.strip())),
            text=" ".join(_STAGE_DIRECTION.sub(" ", text).split()),
            language=config.language,
        )


def _recording(root: Path, prompt: str) -> Path:
    found = (root / f"{prompt}{suffix}" for suffix in _SUFFIXES)
    return next((path for path in found if path.exists()), root / f"{prompt}{_SUFFIXES[0]}")
