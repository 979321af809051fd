"""The voices of the page: their settings, and synthesis."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
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
    """The settings of a voice.

    speakers, languages: by name; at most one if there is no choice.
    vocoders: available vocoders; empty if the voice needs none.
    takes_prompt: whether the voice can clone the voice of a recording.
    """

    speakers: tuple[str, ...]
    languages: tuple[str, ...]
    vocoders: tuple[str, ...]
    takes_prompt: bool
    knobs: tuple[Knob, ...]


@frozen(kw_only=True)
class Said:
    """A synthesized text: its script, its waveform, and the MelSpec of the voice."""

    script: Script
    waveform: Waveform
    audio: MelSpec


Perform = Callable[[Callable[[], Said]], Said]
"""Calls its argument, in a thread and at a time of its choice, and returns the result."""


@define(kw_only=True, eq=False)
class Voices:
    """Voices by path or name, loaded on first use; one text is synthesized at a time.

    places: as for `allophone.load`.
    vocoders: trained vocoders offered to voices that predict mel spectrograms, in addition to those that
        need no training.
    engine, device: as for `allophone.load`.
    limit: the maximum number of characters of a text.
    perform: what synthesizes instead, for voices that others use too.
    """

    places: tuple[str, ...]
    vocoders: tuple[str, ...]
    engine: str | None
    device: str
    limit: int
    registry: Registry = field(repr=False)
    perform: Perform | None = None
    _loaded: dict[str, tuple[Voice, Panel]] = Factory(dict)
    _used_vocoders: dict[str, str] = Factory(dict)
    _turn: threading.RLock = Factory(threading.RLock)

    def panel(self, place: str) -> Panel:
        """The settings of a voice. Raises UserError and PluginError as `allophone.load` does."""
        return self._voice(place)[1]

    def take_recordings(self) -> bool:
        """Whether a voice that has been selected can clone the voice of a recording."""
        return any(panel.takes_prompt for _, panel in list(self._loaded.values()))

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
        """Synthesize a text; prompt_audio and prompt_text are as for `Voice.prompt`.

        Raises UserError if the text is too long or has nothing to say, and all errors of `Voice.say` and
        `Voice.use_vocoder`.
        """
        self._refuse_length(text)
        saying = partial(
            self._say,
            place,
            text,
            speaker=speaker,
            language=language,
            vocoder=vocoder,
            prompt_audio=prompt_audio,
            prompt_text=prompt_text,
            seed=seed,
            pause=pause,
            controls=controls,
        )
        if self.perform is not None:
            return self.perform(saying)
        with self._turn:
            return saying()

    def _say(
        self,
        place: str,
        text: str,
        *,
        speaker: str | None,
        language: str | None,
        vocoder: str | None,
        prompt_audio: str | None,
        prompt_text: str,
        seed: int,
        pause: float,
        controls: Mapping[str, Any],
    ) -> Said:
        voice, panel = self._voice(place)
        prompt = None
        if prompt_audio is not None and not panel.takes_prompt:
            raise UserError(f"The voice '{place}' takes no recording.", hint="Remove it.")
        if prompt_audio is not None:
            words = prompt_text.strip() or None
            prompt = voice.prompt(prompt_audio, text=words, language=language)
        script = voice.script(text, speaker=speaker, language=language, prompt=prompt, seed=seed)
        chosen = voice.controls(controls)
        if panel.vocoders:
            self._use_vocoder(place, voice, vocoder or panel.vocoders[0])
        (waveform,) = voice.synthesize([script], pause=pause, batch_size=1, controls=chosen)
        if not np.isfinite(waveform.samples).all():
            raise UserError(
                f"The voice '{place}' generated NaN or infinite samples.",
                hint="Lower the controls; if that does not help, the training of the voice has diverged.",
            )
        return Said(script=script, waveform=waveform, audio=voice.description.audio)

    def _refuse_length(self, text: str) -> None:
        if len(text) > self.limit:
            raise UserError(
                f"The text has {len(text):,} characters; the limit is {self.limit:,}.",
                hint="Shorten the text, start the demo with a higher --limit, or use "
                "allophone say --file.",
            )

    def _voice(self, place: str) -> tuple[Voice, Panel]:
        with self._turn:
            if place not in self.places:
                raise UserError(
                    f"The voice '{place}' is not available on this page; it offers "
                    f"{', '.join(self.places)}."
                )
            if place not in self._loaded:
                voice = load(place, engine=self.engine, device=self.device, registry=self.registry)
                offered = (*self.vocoders, *_untrained_vocoders(self.registry))
                self._loaded[place] = voice, _panel(voice, vocoders=offered)
            return self._loaded[place]

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
    """Load the voices at `places`; if there are none, offer all installed voices, loaded on first use.

    Raises UserError if a voice or vocoder does not exist or cannot be loaded, or if there is no voice at all.
    """
    installed = tuple(registry.entries("voices"))
    if not places and not installed:
        raise UserError(
            "No voice was given, and none is installed.",
            hint="\n".join(
                [
                    "Give one with --voice: a voice folder, a run or a checkpoint.",
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


def share_voices(
    loaded: Mapping[str, Voice], *, limit: int, registry: Registry, perform: Perform
) -> Voices:
    """Offer voices that are loaded and used elsewhere too, each with the vocoder that it has."""
    return Voices(
        places=tuple(loaded),
        vocoders=(),
        engine=None,
        device="",
        limit=limit,
        registry=registry,
        perform=perform,
        loaded={name: (voice, _panel(voice, vocoders=())) for name, voice in loaded.items()},
    )


def _panel(voice: Voice, *, vocoders: Sequence[str]) -> Panel:
    return Panel(
        speakers=voice.speakers,
        languages=voice.languages,
        vocoders=tuple(dict.fromkeys(vocoders)) if voice.needs_vocoder else (),
        takes_prompt=voice.takes_prompts,
        knobs=knobs(voice.controls({}), lambda name, value: _accepts(voice, name, value)),
    )


def _untrained_vocoders(registry: Registry) -> list[str]:
    return [name for name, entry in registry.entries("vocoders").items() if not entry.needs_weights]


def _accepts(voice: Voice, name: str, value: Any) -> bool:
    try:
        voice.controls({name: value})
    except UserError:
        return False
    return True
