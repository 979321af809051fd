"""PopCS (Liu et al. 2022): one singer, 117 Mandarin songs in segments."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.corpora.reading import (
    corpus_root,
    folders,
    identifier,
    require_some,
    stems,
    transcript,
)
from allophone.data.manifest import Utterance
from allophone_corpora.config import PopCSConfig
from allophone_corpora.songs import set_apart

_FOLDER = "popcs-"


def read(config: PopCSConfig) -> Iterator[Utterance]:
    """One utterance per recording `popcs/popcs-song/0000_wf0.wav`, with its text in `0000.txt`."""
    return set_apart(_utterances(config), config)


def _utterances(config: PopCSConfig) -> Iterator[Utterance]:
    root = corpus_root(config, "popcs") / "popcs"
    found = [
        (folder, piece)
        for folder in folders(root)
        if folder.name.startswith(_FOLDER)
        for piece in stems(folder, "_wf0.wav", ".TextGrid")
    ]
    require_some(found, root, "popcs-song/0000_wf0.wav")
    for folder, piece in found:
        song = folder.name.removeprefix(_FOLDER)
        yield Utterance(
            id=identifier(song, piece),
            audio=str(folder / f"{piece}_wf0.wav"),
            text=transcript(folder / f"{piece}.txt"),
            language=config.language,
            group=song,
        )
