"""PJS, the phoneme-balanced Japanese singing voice corpus (Koguchi et al. 2020): one singer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from allophone.corpora.reading import corpus_root, folders, identifier, require_some, transcript
from allophone.data.manifest import Utterance
from allophone_corpora.config import PJSConfig
from allophone_corpora.songs import cut, is_longer, set_apart

_FOLDER = "PJS_corpus_ver1.1"
_SILENCE_DB = 40.0


def read(config: PJSConfig) -> Iterator[Utterance]:
    """One utterance per recording `pjs001/pjs001_song.wav`, with its text, if it is not too long.

    Longer ones are read and cut at their silences; their parts have no text, since nothing says which part says what.
    """
    return set_apart(_utterances(config), config)


def _utterances(config: PJSConfig) -> Iterator[Utterance]:
    root = corpus_root(config, _FOLDER) / _FOLDER
    songs = [folder for folder in folders(root) if folder.name.startswith("pjs")]
    require_some(songs, root, "one folder per song, such as pjs001")
    for song in songs:
        for style in config.styles:
            name = f"{song.name}_{style}"
            whole = Utterance(
                id=identifier(name),
                audio=str(song / f"{name}.wav"),
                text=transcript(song / f"{song.name}.txt"),
                language=config.language,
                group=song.name,
            )
            if is_longer(Path(whole.audio), config.max_seconds):
                yield from cut(whole, threshold_db=_SILENCE_DB, max_seconds=config.max_seconds)
            else:
                yield whole
