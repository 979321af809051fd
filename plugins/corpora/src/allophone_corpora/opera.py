"""The monophonic part of the Singing Voice Audio Dataset (Black, Li and Tian 2014): opera singers."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.corpora.reading import corpus_root, folders, identifier, require_some, stems
from allophone.data.manifest import Utterance
from allophone_corpora.config import OperaConfig
from allophone_corpora.songs import cut, set_apart

_SILENCE_DB = 30.0
_LANGUAGES = {"chinese": "cmn"}


def read(config: OperaConfig) -> Iterator[Utterance]:
    """The parts of each recording `monophonic/chinese/fem_01/neg_1.wav` between silences.

    There are no texts. The recordings are read to find the silences. Who is called alike in the two
    folders need not be the same, so a singer's name has that of the folder: "chinese_fem_01".
    """
    return set_apart(_utterances(config), config)


def _utterances(config: OperaConfig) -> Iterator[Utterance]:
    root = corpus_root(config, *(f"monophonic/{language}" for language in config.languages))
    for language in config.languages:
        folder = root / "monophonic" / language
        found = [(singer, song) for singer in folders(folder) for song in stems(singer, ".wav")]
        require_some(found, folder, "singer/song.wav, such as fem_01/neg_1.wav")
        for singer, song in found:
            whole = Utterance(
                id=identifier(language, singer.name, song),
                audio=str(singer / f"{song}.wav"),
                text="",
                speaker=f"{language}_{singer.name}",
                language=config.language or _LANGUAGES.get(language),
                group=f"{singer.name}#{song}",
            )
            yield from cut(whole, threshold_db=_SILENCE_DB, max_seconds=config.max_seconds)
