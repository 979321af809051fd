"""KiSing (Shi 2021): one singer, one folder per song."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.corpora.reading import corpus_root, folders, identifier, require_some, stems
from allophone.data.manifest import Utterance
from allophone_corpora.config import KiSingConfig
from allophone_corpora.songs import set_apart


def read(config: KiSingConfig) -> Iterator[Utterance]:
    """One utterance per recording `clean/song/name.wav`; there are no texts."""
    return set_apart(_utterances(config), config)


def _utterances(config: KiSingConfig) -> Iterator[Utterance]:
    clean = corpus_root(config, "clean") / "clean"
    found = [(song, name) for song in folders(clean) for name in stems(song, ".wav")]
    require_some(found, clean, "one folder of recordings per song, such as 421/0001.wav")
    for song, name in found:
        yield Utterance(
            id=identifier(song.name, name),
            audio=str(song / f"{name}.wav"),
            text="",
            language=config.language,
            group=song.name,
        )
