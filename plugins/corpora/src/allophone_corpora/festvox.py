"""Corpora in the layout of the Festvox project (Black and Lenzo): `etc/txt.done.data`, `wav/`, `lab/`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from allophone.corpora.reading import corpus_root, read_lines
from allophone.data.manifest import Utterance
from allophone.errors import UserError
from allophone_corpora.config import FestvoxConfig

_LINE = re.compile(r'\(\s*(?P<id>\S+)\s+"(?P<text>(?:[^"\\]|\\.)*)"\s*\)')
_ACUTE = "\N{COMBINING ACUTE ACCENT}"


def read(config: FestvoxConfig) -> Iterator[Utterance]:
    r"""One utterance per line `( id "text" )`; `\"` is a quotation mark in the text."""
    root = corpus_root(config, "etc/txt.done.data", "wav")
    for where, line in read_lines(root / "etc" / "txt.done.data"):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise UserError(f'{where} is not of the form ( id "text" ): {line.strip()[:60]}')
        name, text = match["id"], re.sub(r"\\(.)", r"\1", match["text"])
        labels = root / "lab" / f"{name}.lab"
        yield Utterance(
            id=name,
            audio=str(root / "wav" / f"{name}.wav"),
            text=_accented(text, config.stress_mark) if config.stress_mark else text,
            language=config.language,
            labels=str(labels) if labels.exists() else None,
        )


def _accented(text: str, mark: str) -> str:
    """Replace the mark by an acute accent on the next letter: "вол+ос" becomes "воло́с"."""
    accented = re.sub(re.escape(mark) + r"(\w)", rf"\1{_ACUTE}", text)
    return unicodedata.normalize("NFC", accented)
