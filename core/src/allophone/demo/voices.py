"""The voices that a page offers: what can be chosen for each of them, and saying a text with it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from attrs import Factory, define, field, frozen

from allophone.audio.melspec import MelSpec
from allophone.demo.knobs import Knob, knobs
from allophone.errors import UserError
from allophone.registry import Registry
from allophone.synthesis.places import find_vocoder, untrained_vocoders
from allophone.synthesis.protocol import Mels, Vocoder
from allophone.synthesis.rendering import Line, Spoken, text_batch
from allophone.synthesis.script import Script, Sentence
from allophone.synthesis.vocoders import load_vocoder
from allophone.synthesis.voice import Voice, load


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
    """A text that was said: how it was read, what is heard, and as which mels its voice hears it."""

    script: Script
    spoken: Spoken
    audio: MelSpec


@define(kw_only=True, eq=False)
class Voices:
    """Voices by their places, each loaded when it is first asked for; one speaks at a time.

    places: as `allophone.load` takes them.
    vocoders: places of vocoders that are offered, beside those that need no training, to voices that
        make mel spectrograms.
    limit: how many characters are said at once.
    """

    places: tuple[str, ...]
    vocoders: tuple[str, ...] = ()
    device: str = "cpu"
    limit: int = 1000
    registry: Registry = field(repr=False)
    _loaded: dict[str, tuple[Voice, Panel]] = Factory(dict)
    _loaded_vocoders: dict[tuple[str, str], Vocoder] = Factory(dict)
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

        Raises UserError for a text that is too long or has nothing to say, and all that `Voice.speak`
        and `load_vocoder` raise.
        """
        self._refuse_length(text)
        with self._turn:
            voice, panel = self._voice(place)
            prompt = None
            if prompt_audio is not None:
                words = prompt_text.strip() or None
                prompt = voice.prompt(prompt_audio, text=words, language=language)
            script = voice.script(text, speaker=speaker, language=language, prompt=prompt)
            chosen = voice.controls(controls)
            if panel.vocoders:
                voice.vocoder = self._vocoder(place, voice, vocoder or panel.vocoders[0])
            (spoken,) = voice.perform(
                [script], seed=seed, pause=pause, batch_size=1, controls=chosen
            )
        if not np.isfinite(spoken.waveform.samples).all():
            raise UserError(
                f"'{place}' made samples of it that are not all numbers.",
                hint="A control is set too high, or the voice's training has gone wrong.",
            )
        return Said(script=script, spoken=spoken, audio=voice.description.audio)

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
                voice = load(place, device=self.device, registry=self.registry)
                self._loaded[place] = voice, self._panel(voice)
            return self._loaded[place]

    def _panel(self, voice: Voice) -> Panel:
        offered = (*self.vocoders, *untrained_vocoders(self.registry))
        return Panel(
            speakers=voice.speakers,
            languages=voice.languages,
            vocoders=tuple(dict.fromkeys(offered)) if makes_mels(voice) else (),
            takes_prompt=voice.takes_prompts,
            knobs=knobs(voice.controls({}), lambda name, value: _accepts(voice, name, value)),
        )

    def _vocoder(self, place: str, voice: Voice, vocoder: str) -> Vocoder:
        if (place, vocoder) not in self._loaded_vocoders:
            self._loaded_vocoders[place, vocoder] = load_vocoder(
                vocoder, voice.description.audio, device=voice.device, registry=self.registry
            )
        return self._loaded_vocoders[place, vocoder]


def open_voices(
    places: Sequence[str],
    *,
    vocoders: Sequence[str],
    device: str,
    limit: int,
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
            hint="Say which with --voice: a voice folder, a run or a checkpoint.",
        )
    for vocoder in vocoders:
        if vocoder not in untrained_vocoders(registry):
            find_vocoder(vocoder, registry)
    voices = Voices(
        places=tuple(dict.fromkeys(places)) or installed,
        vocoders=tuple(vocoders),
        device=device,
        limit=limit,
        registry=registry,
    )
    for place in places:
        voices.panel(place)
    return voices


def makes_mels(voice: Voice) -> bool:
    """Whether a voice needs a vocoder. Models do not declare it, so this one says a single symbol; those
    that take prompts make waveforms.
    """
    if voice.takes_prompts:
        return False
    table = voice.vocabulary.symbols
    symbol = next((symbol for symbol in table.ids if symbol.isalnum()), next(iter(table.ids)))
    sentence = Sentence(text=symbol, symbols=(symbol,), ids=tuple(table.encode([symbol])))
    text = text_batch([Line(sentence=sentence, speaker=0, language=0, seed=0)], voice.device)
    with torch.inference_mode():
        return isinstance(voice.synthesizer.synthesize(text, voice.controls({})), Mels)


def _accepts(voice: Voice, name: str, value: Any) -> bool:
    try:
        voice.controls({name: value})
    except UserError:
        return False
    return True
