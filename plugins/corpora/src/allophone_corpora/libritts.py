"""LibriTTS (Zen et al. 2019) and LibriTTS-R (Koizumi et al. 2023): 24 kHz, in subsets."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.corpora.reading import corpus_root, folders, require_some, transcript
from allophone.data.manifest import Split, Utterance
from allophone.errors import UserError
from allophone_corpora.config import LibriTTSConfig

_SPLITS: dict[str, Split] = {"train": "train", "dev": "valid", "test": "test"}


def read(config: LibriTTSConfig) -> Iterator[Utterance]:
    """One utterance per recording `subset/speaker/chapter/name.wav`, with its text in the same folder."""
    root = corpus_root(config, *config.subsets)
    published = any(not subset.startswith("train-") for subset in config.subsets)
    for subset in config.subsets:
        recordings = [
            path
            for speaker in folders(root / subset)
            for chapter in folders(speaker)
            for path in sorted(chapter.glob("*.wav"))
        ]
        require_some(recordings, root / subset, "speaker/chapter/name.wav")
        for path in recordings:
            yield Utterance(
                id=path.stem,
                audio=str(path),
                text=transcript(path.with_name(f"{path.stem}.{config.text}.txt")),
                speaker=path.parent.parent.name,
                language=config.language,
                split=_split(subset) if published else None,
            )


def _split(subset: str) -> Split:
    kind = subset.split("-")[0]
    if kind not in _SPLITS:
        raise UserError(
            f"'{subset}' is not a subset of LibriTTS; the names must begin with train-, dev- or test-."
        )
    return _SPLITS[kind]
