"""VCTK 0.92 (Yamagishi, Veaux and MacDonald 2019): 48 kHz, two microphones per sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from allophone.corpora.reading import corpus_root, folders, transcript
from allophone.data.manifest import Utterance
from allophone_corpora.config import VCTKConfig

_AUDIO = "wav48_silence_trimmed"


def read(config: VCTKConfig) -> Iterator[Utterance]:
    """One utterance per recording of the selected microphones; the folders are the speakers.

    Not every speaker has both microphones, and p315 has no transcripts: its text is empty. A
    transcript without any recording is listed with the recording that it should have.
    """
    root = corpus_root(config, "txt", _AUDIO)
    speakers = {folder.name for part in ("txt", _AUDIO) for folder in folders(root / part)}
    for speaker in sorted(speakers):
        for sentence in _sentences(root, speaker):
            recordings = [
                root / _AUDIO / speaker / f"{sentence}_{microphone}.flac"
                for microphone in config.microphones
            ]
            for recording in [path for path in recordings if path.exists()] or recordings[:1]:
                yield Utterance(
                    id=recording.stem,
                    audio=str(recording),
                    text=transcript(root / "txt" / speaker / f"{sentence}.txt"),
                    speaker=speaker,
                    language=config.language,
                    group=sentence,
                )


def _sentences(root: Path, speaker: str) -> list[str]:
    """The sentences of a speaker, "p225_001", that have a transcript or a recording."""
    transcribed = (path.stem for path in (root / "txt" / speaker).glob("*.txt"))
    recorded = (path.stem.rsplit("_", 1)[0] for path in (root / _AUDIO / speaker).glob("*.flac"))
    return sorted({*transcribed, *recorded})
