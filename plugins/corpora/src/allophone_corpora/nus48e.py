"""NUS-48E (Duan et al. 2013): 48 English songs, sung and read by twelve singers."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.corpora.reading import (
    corpus_root,
    folders,
    identifier,
    require_inside,
    require_some,
    stems,
)
from allophone.data.manifest import Utterance
from allophone_corpora.config import NUS48EConfig
from allophone_corpora.songs import cut, set_apart

_SILENCE_DB = 40.0
_STYLES = ("read", "sing")


def read(config: NUS48EConfig) -> Iterator[Utterance]:
    """The parts of each recording `singer/style/song.wav` between silences; there are no texts.

    The recordings are read to find the silences. A recording for which only the label file exists is
    listed with its expected path.
    """
    return set_apart(_utterances(config), config)


def _utterances(config: NUS48EConfig) -> Iterator[Utterance]:
    root = corpus_root(config)
    singers = [folder for folder in folders(root) if any((folder / s).is_dir() for s in _STYLES)]
    require_some(
        singers, root, "one folder per singer with the folders read and sing, such as ADIZ"
    )
    for singer in singers:
        require_inside(singer, *config.styles)
        for style in config.styles:
            songs = stems(singer / style, ".wav", ".txt")
            require_some(songs, singer / style, "one recording per song, such as 01.wav")
            for song in songs:
                whole = Utterance(
                    id=identifier(singer.name, style, song),
                    audio=str(singer / style / f"{song}.wav"),
                    text="",
                    speaker=singer.name,
                    language=config.language,
                    group=f"{singer.name}#{song}",
                )
                yield from cut(whole, threshold_db=_SILENCE_DB, max_seconds=config.max_seconds)
