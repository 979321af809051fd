"""Helpers for readers of singing corpora: setting songs aside for listening, and splitting long recordings.

Light: what decodes audio is imported when a recording is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import evolve, fields_dict

from allophone.data.manifest import Utterance
from allophone.errors import UserError, near_miss
from allophone_corpora.config import SongsConfig


def set_apart(utterances: Iterable[Utterance], config: SongsConfig) -> Iterator[Utterance]:
    """The utterances, those of the golden songs with the split `golden_test`; songs are their groups.

    Raises UserError for a song that the user has named and that is not there. Those named by default may
    be missing: not everybody has the whole corpus.
    """
    songs = set()
    for utterance in utterances:
        songs.add(utterance.group or utterance.id)
        golden = utterance.group in config.golden
        yield evolve(utterance, split="golden_test") if golden else utterance
    unknown = sorted(set(config.golden) - songs)
    if unknown and config.golden != fields_dict(type(config))["golden"].default:
        raise UserError(
            f"`golden` contains '{unknown[0]}', which is not a song in {config.root}.",
            hint=near_miss(unknown[0], songs),
        )


def cut(utterance: Utterance, *, threshold_db: float, max_seconds: float) -> Iterator[Utterance]:
    """The numbered parts of a long recording between silences; see `split_on_silence`.

    A recording that cannot be read, or is silent, stays whole: extraction reports it.
    """
    from allophone.audio.files import read_audio
    from allophone.audio.silence import split_on_silence

    try:
        audio = read_audio(utterance.audio)
    except UserError:
        yield utterance
        return
    parts = split_on_silence(
        audio.samples, audio.sample_rate, threshold_db=threshold_db, max_seconds=max_seconds
    )
    if not parts:
        yield utterance
    for number, (first, last) in enumerate(parts):
        yield evolve(
            utterance,
            id=f"{utterance.id}_{number:04d}",
            text="",
            start=first / audio.sample_rate,
            end=last / audio.sample_rate,
        )


def is_longer(path: Path, limit: float) -> bool:
    """Whether a recording is longer than `seconds`; False if it cannot be read."""
    import soundfile

    try:
        info = soundfile.info(path)
    except (soundfile.SoundFileError, OSError):
        return False
    longer: bool = info.duration > limit
    return longer
