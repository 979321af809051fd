"""Opencpop (Wang et al. 2022): one singer, a hundred songs in segments of one or two lines."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.corpora.reading import corpus_root, identifier, read_lines
from allophone.data.manifest import Split, Utterance
from allophone.errors import UserError
from allophone_corpora.config import OpencpopConfig

_SPLITS: tuple[tuple[str, Split | None], ...] = (("train", None), ("test", "test"))
"""The published test split is kept; validation utterances are taken from the training list."""
_SONG_DIGITS = 4


def read(config: OpencpopConfig) -> Iterator[Utterance]:
    """One utterance per line `id|text|phonemes|notes|...` of `segments/train.txt` and `test.txt`."""
    lists = [f"segments/{name}.txt" for name, _ in _SPLITS]
    segments = corpus_root(config, *lists, "segments/wavs") / "segments"
    for name, split in _SPLITS:
        for where, line in read_lines(segments / f"{name}.txt"):
            identity, bar, rest = line.partition("|")
            if not bar:
                raise UserError(f"{where} is not of the form id|text|phonemes|...: {line[:60]}")
            yield Utterance(
                id=identifier(identity.strip()),
                audio=str(segments / "wavs" / f"{identity.strip()}.wav"),
                text=rest.partition("|")[0].strip(),
                language=config.language,
                group=identity.strip()[:_SONG_DIGITS],
                split=split,
            )
