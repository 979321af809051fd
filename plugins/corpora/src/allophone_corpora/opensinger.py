"""OpenSinger (Huang et al. 2021): 41 women and 25 men who sing Mandarin songs."""

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
from allophone.errors import UserError
from allophone_corpora.config import OpenSingerConfig
from allophone_corpora.songs import set_apart

_GENDERS = {"ManRaw": "Man", "WomanRaw": "Woman"}


def read(config: OpenSingerConfig) -> Iterator[Utterance]:
    """One utterance per recording `ManRaw/0_song/0_song_7.wav`, with its text in the same folder.

    Men and women are numbered apart, so a singer's name has both: "Man_0". Songs may have `_` in them.
    """
    return set_apart(_utterances(config), config)


def _utterances(config: OpenSingerConfig) -> Iterator[Utterance]:
    root = corpus_root(config, *_GENDERS)
    for folder, gender in _GENDERS.items():
        found = [
            (song, name) for song in folders(root / folder) for name in stems(song, ".wav", ".txt")
        ]
        require_some(found, root / folder, "singer_song/singer_song_0.wav")
        for song, name in found:
            singer, underscore, _ = song.name.partition("_")
            if not underscore:
                raise UserError(
                    f"The name of the folder {song} must be singer_song, such as 0_大鱼."
                )
            yield Utterance(
                id=identifier(gender, name),
                audio=str(song / f"{name}.wav"),
                text=transcript(song / f"{name}.txt"),
                speaker=f"{gender}_{singer}",
                language=config.language,
                group=f"{gender}_{song.name}",
            )
