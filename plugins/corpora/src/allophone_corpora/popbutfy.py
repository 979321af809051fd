"""PopBuTFy (Liu et al. 2022): English songs in an amateur and a professional style."""

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
from allophone_corpora.config import PopBuTFyConfig
from allophone_corpora.songs import set_apart

_MANNERS = ("_Amateur", "_Professional")
_SUFFIXES = (".mp3", ".wav")


def read(config: PopBuTFyConfig) -> Iterator[Utterance]:
    """One utterance per recording `data/singer#singing#song_Amateur/singer#singing#song_Amateur_0.mp3`.

    Its text is that of `text_labels/`, in a file of the recording's name, where there is one.
    """
    return set_apart(_utterances(config), config)


def _utterances(config: PopBuTFyConfig) -> Iterator[Utterance]:
    root = corpus_root(config, "data")
    found = [
        folder / f"{name}{suffix}"
        for folder in folders(root / "data")
        for suffix in _SUFFIXES
        for name in stems(folder, suffix)
    ]
    require_some(found, root / "data", "singer#singing#song_Amateur with recordings in it")
    for recording in found:
        singer, _, song = recording.parent.name.partition("#")
        song = song.rpartition("#")[2]
        for manner in _MANNERS:
            song = song.removesuffix(manner)
        yield Utterance(
            id=identifier(recording.stem),
            audio=str(recording),
            text=transcript(root / "text_labels" / f"{recording.stem}.txt"),
            speaker=singer,
            language=config.language,
            group=f"{singer}#{song}",
        )
