"""The voices of a server, by the names that clients use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import Factory, frozen

from allophone.errors import UserError
from allophone.registry import Registry
from allophone.synthesis.loading import load
from allophone.synthesis.voice import Voice

BUILT_IN = (
    *("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable"),
    *("marin", "nova", "onyx", "sage", "shimmer", "verse"),
)
"""Names that OpenAI's clients have built in; they mean the first voice."""


@frozen(kw_only=True, eq=False)
class Speaker:
    """Who speaks: a voice, and its speaker if it has several."""

    name: str
    voice: Voice
    speaker: str | None = None


@frozen(kw_only=True, eq=False)
class Voices:
    """Voices by name. The first is the default.

    aliases: other names for them.
    """

    by_name: Mapping[str, Voice]
    aliases: Mapping[str, str] = Factory(dict)

    @property
    def default(self) -> str:
        return next(iter(self.by_name))

    def names(self) -> Iterator[str]:
        """All names but those built into clients: `joe`, `vctk`, `vctk:p225`, and aliases."""
        for name, voice in self.by_name.items():
            yield name
            if len(voice.speakers) > 1:
                yield from (f"{name}:{speaker}" for speaker in voice.speakers)
        yield from (alias for alias in self.aliases if alias not in BUILT_IN)

    def find(self, name: str) -> Speaker:
        """Find a voice. Names are only looked up, never used as a path.

        Raises UserError, listing the names, if there is none.
        """
        meant = self.aliases.get(name, name)
        if meant in BUILT_IN and meant not in self.by_name:
            meant = self.default
        base, _, speaker = meant.partition(":")
        voice = self.by_name.get(base)
        if voice is not None and (not speaker or speaker in voice.speakers):
            return Speaker(name=base, voice=voice, speaker=speaker or None)
        raise UserError(
            f"There is no voice '{name[:60]}'.", hint=f"Available: {', '.join(self.names())}."
        )


def open_voices(
    places: Sequence[str],
    *,
    aliases: Mapping[str, str] | None = None,
    engine: str | None = None,
    device: str = "cpu",
    vocoder: str | None = None,
    registry: Registry,
) -> Voices:
    """Load voices; without places, all installed ones.

    A voice is named after its place: `joe`, `runs/anna` is `anna`, `voices/tim.onnx` is `tim`.

    Raises UserError if there is no voice, two have one name, one cannot be loaded, or an alias leads nowhere.
    """
    chosen = tuple(dict.fromkeys(places)) or tuple(registry.entries("voices"))
    if not chosen:
        raise UserError(
            "No voice was given, and none is installed.",
            hint="Give one with --voice: a voice folder, a run or an exported voice.",
        )
    by_name: dict[str, Voice] = {}
    for place in chosen:
        path = Path(place)
        name = path.stem if path.is_file() else path.resolve().name
        if name in by_name:
            raise UserError(
                f"Two voices are named '{name}'; the second is {place}.",
                hint="Rename one of the folders.",
            )
        by_name[name] = load(
            place, engine=engine, device=device, vocoder=vocoder, registry=registry
        )
    voices = Voices(by_name=by_name, aliases=dict(aliases or {}))
    for alias, name in voices.aliases.items():
        try:
            voices.find(alias)
        except UserError as error:
            raise UserError(f"--alias {alias}={name}: {error.message}", hint=error.hint) from error
    return voices
