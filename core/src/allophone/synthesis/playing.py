"""Voices in other formats than a voice folder: what a plugin exported, and other programs can speak with."""

from __future__ import annotations

from pathlib import Path

import torch
from attrs import frozen

from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.registry import Registry
from allophone.synthesis.folder import VOICE, VoiceDescription
from allophone.synthesis.formats import Format, formats, recognising
from allophone.synthesis.places import is_run
from allophone.synthesis.protocol import Synthesizer


@frozen(kw_only=True)
class PlayedVoice:
    """What a player makes of the place of a voice.

    description: how its texts are read, what it sounds like and what it is about; `model` is None, for
        its weights are not at hand.
    """

    description: VoiceDescription
    vocabulary: Vocabulary
    synthesizer: Synthesizer


@frozen(kw_only=True)
class Playable:
    """A file or folder that a plugin can speak with."""

    place: Path
    format: Format

    @property
    def files(self) -> tuple[Path, ...]:
        """What decides how it sounds."""
        if self.place.is_file():
            return (self.place,)
        return tuple(sorted(path for path in self.place.iterdir() if path.is_file()))

    def play(self, device: torch.device) -> PlayedVoice:
        """Make it ready to speak; UserError where it is damaged, or something is not installed."""
        played: PlayedVoice = self.format.load("player")(self.place, device)
        return played


def find_playable(place: str | Path, registry: Registry) -> Playable | None:
    """The voice at a path, if it is one of another format; None for voice folders, runs and names.

    Raises UserError where more than one plugin takes it for theirs.
    """
    path = Path(place).expanduser()
    if not path.exists() or (path / VOICE).is_file() or is_run(path):
        return None
    found = list(recognising(path, formats("players", registry)))
    if len(found) > 1:
        names = ", ".join(format.name for format in found)
        raise UserError(
            f"{place} may be any of {len(found)} formats: {names}.",
            hint="Leave the plugins out that are not meant: ALLOPHONE_DISABLE_PLUGINS.",
        )
    return Playable(place=path, format=found[0]) if found else None
