"""The voices that a page offers: what can be chosen for each of them, and saying a text with it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import Factory, define, field, frozen

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.registry import Registry
from allophone.synthesis.loading import load
from allophone.synthesis.script import Script
from allophone.synthesis.voice import Voice
from allophone.synthesis.waveform import Waveform
from allophone_demo.knobs import Knob, knobs


@frozen(kw_only=True)
class Panel:
    """What can be chosen for a voice.

    speakers, languages: by name; one or none where there is no choice.
    vocoders: through which it can be heard; empty where it makes waveforms itself.
    takes_prompt: whether it can be given a recording in whose voice to speak.
    """

    speakers: tuple[str, ...]
    languages: tuple[str, ...]
    vocoders: tuple[str, ...]
    takes_prompt: bool
    knobs: tuple[Knob, ...]


@frozen(kw_only=True)
class Said:
    """A text that was spoken: how it was read, its audio, and the mels that its voice works with."""

    script: Script
    waveform: Waveform
    audio: MelSpec


@define(kw_only=True, eq=False)
class Voices:
    """Voices by their places, each loaded when it is first asked for; one speaks at a time.

    places: as `allophone.load` takes them.
    vocoders: places of vocoders that are offered, beside those that need no training, to voices that
        make mel spectrograms.
    engine, device: as `allophone.load` takes them.
    limit: how many characters are said at once.
    """

    places: tuple[str, ...]
    vocoders: tuple[str, ...]
    engine: str | None
    device: str
    limit: int
    registry: Registry = field(repr=False)
    _loaded: dict[str, tuple[Voice, Panel]] = Factory(dict)
    _used_vocoders: dict[str, str] = Factory(dict)
    _turn: threading.RLock = Factory(threading.RLock)

    def panel(self, place: str) -> Panel:
        """What can be chosen for a voice. Raises UserError and PluginError as `allophone.load` does."""
        return self._voice(place)[1]

    def say(
        self,
        place: str,
        text: str,
        *,
        speaker: str | None = None,
        language: str | None = None,
        vocoder: str | None = None,
        prompt_audio: str | None = None,
        prompt_text: str = "",
        seed: int = 0,
        pause: float,
        controls: Mapping[str, Any],
    ) -> Said:
        """Say a text with a voice; the prompt is as `Voice.prompt` takes it.

        Raises UserError for a text that is too long or has nothing to say, and all that `Voice.say` and
        `Voice.use_vocoder` raise.
        """
        self._refuse_length(text)
        with self._turn:
            voice, panel = self._voice(place)
            prompt = None
            if prompt_audio is not None:
                words = prompt_text.strip() or None
                prompt = voice.prompt(prompt_audio, text=words, language=language)
            script = voice.script(
                text, speaker=speaker, language=language, prompt=prompt, seed=seed
            )
            chosen = voice.controls(controls)
            if panel.vocoders:
                self._use_vocoder(place, voice, vocoder or panel.vocoders[0])
            (waveform,) = voice.synthesize([script], pause=pause, batch_size=1, controls=chosen)
        if not np.isfinite(waveform.samples).all():
            raise UserError(
                f"'{place}' made samples that are not finite numbers.",
                hint="A control is set too high, or the voice's training has diverged.",
            )
        return Said(script=script, waveform=waveform, audio=voice.description.audio)

    def _refuse_length(self, text: str) -> None:
        if len(text) > self.limit:
            raise UserError(
                f"The text has {len(text):,} characters; at most {self.limit:,} are said at once.",
                hint="Say it in parts, start the demo with a higher --limit, or let allophone say "
                "read it from a file.",
            )

    def _voice(self, place: str) -> tuple[Voice, Panel]:
        with self._turn:
            if place not in self.places:
                raise UserError(f"The voice '{place}' is not offered here.")
            if place not in self._loaded:
                voice = load(place, engine=self.engine, device=self.device, registry=self.registry)
                self._loaded[place] = voice, self._panel(voice)
            return self._loaded[place]

    def _panel(self, voice: Voice) -> Panel:
        offered = (*self.vocoders, *_untrained_vocoders(self.registry))
        return Panel(
            speakers=voice.speakers,
            languages=voice.languages,
            vocoders=tuple(dict.fromkeys(offered)) if voice.needs_vocoder else (),
            takes_prompt=voice.takes_prompts,
            knobs=knobs(voice.controls({}), lambda name, value: _accepts(voice, name, value)),
        )

    def _use_vocoder(self, place: str, voice: Voice, vocoder: str) -> None:
        if self._used_vocoders.get(place) != vocoder:
            voice.use_vocoder(vocoder)
            self._used_vocoders[place] = vocoder


def open_voices(
    places: Sequence[str],
    *,
    vocoders: Sequence[str] = (),
    engine: str | None = None,
    device: str = "cpu",
    limit: int = 1000,
    registry: Registry,
) -> Voices:
    """The voices at `places`, loaded; or all installed ones, where none is named, when they are chosen.

    Raises UserError for a voice or a vocoder that is not there or does not work, and where there is no
    voice at all.
    """
    installed = tuple(registry.entries("voices"))
    if not places and not installed:
        raise UserError(
            "No voice was named, and none is installed.",
            hint="\n".join(
                [
                    "Say which with --voice: a voice folder, a run or a checkpoint.",
                    *registry.unavailable(),
                ]
            ),
        )
    for vocoder in vocoders:
        if vocoder not in _untrained_vocoders(registry):
            from allophone.inference.locate import find_vocoder

            find_vocoder(vocoder, registry)
    voices = Voices(
        places=tuple(dict.fromkeys(places)) or installed,
        vocoders=tuple(vocoders),
        engine=engine,
        device=device,
        limit=limit,
        registry=registry,
    )
    for place in places:
        voices.panel(place)
    return voices


def _untrained_vocoders(registry: Registry) -> list[str]:
    return [name for name, entry in registry.entries("vocoders").items() if not entry.needs_weights]


def _accepts(voice: Voice, name: str, value: Any) -> bool:
    try:
        voice.controls({name: value})
    except UserError:
        return False
    return True
