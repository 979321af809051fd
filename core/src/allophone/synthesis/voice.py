"""`Voice`: synthesizes texts one at a time, in batches or as a stream.

    voice = allophone.load("joe")
    voice.say("Hello there.", length_scale=1.2).save("hello.wav")

N samples.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, evolve, field, fields_dict

from allophone.config.converting import structure
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError, near_miss
from allophone.registry import Registry
from allophone.synthesis.description import VoiceDescription
from allophone.synthesis.engine import Engine, Prompt, Samples, SentenceAudio
from allophone.synthesis.prompts import check_prompt, make_prompt, takes_prompts
from allophone.synthesis.script import Script, batches, join, read_script, seconds_before, silence
from allophone.synthesis.waveform import Waveform
from allophone.text.frontend import TextFrontend, build_frontend

SENTENCE_PAUSE = 0.2
"""Seconds of silence between sentences, in addition to what the model generates at their ends."""

_log = logging.getLogger(__name__)


@define(kw_only=True, eq=False)
class Voice:
    """A loaded voice; see `allophone.load`.

    The same text with the same seed and controls gives the same audio, whether synthesized alone, in a batch
    (up to rounding) or streamed.

    Controls (`length_scale`, `noise_scale`, ...) are defined by the model family. Those that are not given
    default to the values in the voice's description, or else to those of the family. `speaker` and `language`
    are names; the default is the voice's first.
    """

    description: VoiceDescription
    vocabulary: Vocabulary
    engine: Engine = field(repr=False)
    registry: Registry = field(repr=False)

    @property
    def name(self) -> str:
        return self.description.about.name

    @property
    def sample_rate(self) -> int:
        """The sample rate of the output, Hz."""
        return self.description.audio.sample_rate

    @property
    def speakers(self) -> tuple[str, ...]:
        """The names of the speakers; may be empty if there is only one."""
        return self.vocabulary.speakers

    @property
    def languages(self) -> tuple[str, ...]:
        """The language codes that the voice supports."""
        return self.vocabulary.languages or (self.description.text.language,)

    @property
    def takes_prompts(self) -> bool:
        """Whether it can clone the voice of a recording; see `prompt`."""
        return takes_prompts(self.engine)

    @property
    def needs_vocoder(self) -> bool:
        """Whether the model predicts mel spectrograms, so that a vocoder can be chosen."""
        return bool(getattr(self.engine, "needs_vocoder", False))

    def say(
        self,
        text: str,
        *,
        speaker: str | None = None,
        language: str | None = None,
        prompt: Prompt | None = None,
        seed: int = 0,
        pause: float = SENTENCE_PAUSE,
        **controls: Any,
    ) -> Waveform:
        """Synthesize a text sentence by sentence, with `pause` seconds of silence between sentences.

        prompt: a recording of the speaker to clone, for voices that take prompts; see `prompt`.
        seed: sentence i is synthesized with `seed + i`.

        Raises UserError for a text without words, unknown symbols, and an unknown speaker, language or
        control.
        """
        script = self.script(text, speaker=speaker, language=language, prompt=prompt, seed=seed)
        chosen = self.controls(controls)
        return self.synthesize([script], pause=pause, batch_size=1, controls=chosen)[0]

    def say_batch(
        self,
        texts: Sequence[str],
        *,
        pause: float = SENTENCE_PAUSE,
        batch_size: int = 8,
        speaker: str | None = None,
        language: str | None = None,
        prompt: Prompt | None = None,
        seed: int = 0,
        **controls: Any,
    ) -> list[Waveform]:
        """Synthesize many texts like `say`, in batches of `batch_size` sentences of similar length."""
        scripts = [
            self.script(text, speaker=speaker, language=language, prompt=prompt, seed=seed)
            for text in texts
        ]
        chosen = self.controls(controls)
        return self.synthesize(scripts, pause=pause, batch_size=batch_size, controls=chosen)

    def stream(
        self,
        text: str,
        *,
        pause: float = SENTENCE_PAUSE,
        speaker: str | None = None,
        language: str | None = None,
        prompt: Prompt | None = None,
        seed: int = 0,
        **controls: Any,
    ) -> Iterator[Samples]:
        """Yield the audio of `say` in chunks [N] as they are computed.

        Concatenated, the chunks equal the output of `say`. The arguments are checked when `stream` is
        called, before the first chunk is requested.
        """
        script = self.script(text, speaker=speaker, language=language, prompt=prompt, seed=seed)
        return self._stream(script, pause, self.controls(controls))

    def script(
        self,
        text: str,
        *,
        speaker: str | None = None,
        language: str | None = None,
        prompt: Prompt | None = None,
        seed: int = 0,
    ) -> Script:
        """Convert a text to sentences for the engine. Raises UserError like `say`."""
        check_prompt(prompt, self.engine)
        chosen = self._check_language(language)
        script = read_script(
            text,
            self._frontend(chosen),
            self.vocabulary.symbols,
            speaker=self.vocabulary.speaker_id(speaker),
            language=self.languages.index(chosen),
            seed=seed,
            prompt=prompt,
            whole=prompt is not None and prompt.continued,
        )
        if any(one.rate != 1.0 for one in script) and "length_scale" not in fields_dict(
            self.engine.controls
        ):
            raise UserError(
                f"The voice '{self.name}' cannot change its rate.",
                hint='Leave out <prosody rate="...">.',
            )
        return script

    def synthesize(
        self, scripts: Sequence[Script], *, pause: float, batch_size: int, controls: Any
    ) -> list[Waveform]:
        """Synthesize scripts in batches of `batch_size` sentences of similar length."""
        sentences = [sentence for script in scripts for sentence in script]
        spoken: dict[int, SentenceAudio] = {}
        for chosen in batches(sentences, batch_size):
            batch = [sentences[index] for index in chosen]
            paced = self._paced(controls, batch[0].rate)
            spoken.update(zip(chosen, self.engine.synthesize(batch, paced), strict=True))
        in_order = iter([spoken[index] for index in range(len(sentences))])
        waveforms = [
            join(
                script,
                [next(in_order) for _ in script],
                pause=pause,
                audio=self.description.audio,
                table=self.vocabulary.symbols,
            )
            for script in scripts
        ]
        for sentence, why in (item for one in waveforms for item in one.cut_off.items()):
            _log.warning("'%s' was cut off before its end: %s.", sentence, why)
        return waveforms

    def controls(self, given: Mapping[str, Any]) -> Any:
        """Return the controls: those given, and the voice's or family's defaults for the rest.

        Raises ConfigError for unknown controls, with suggestions, and for invalid values.
        """
        return structure(
            self.engine.controls,
            {**self.description.controls, **given},
            where=f"A control of '{self.name}'",
            registry=self.registry,
        )

    def prompt(
        self,
        recording: str | Path | Waveform,
        *,
        text: str | None = None,
        language: str | None = None,
    ) -> Prompt:
        """Make a prompt from a recording of the speaker to clone. Prompts can be reused.

        text: the exact transcript of the recording. If omitted, the texts synthesized with the prompt must
            begin with the transcript; the speech then begins with the recording and continues from it.

        Raises UserError if the voice takes no prompts, or if the recording is too short, too long or silent.
        """
        table, symbols = self.vocabulary.symbols, list[str]()
        if text is not None:
            frontend = self._frontend(self._check_language(language))
            script = read_script(text, frontend, table, whole=True)
            symbols = [symbol for sentence in script for symbol in sentence.symbols]
        phones = self.description.text.phones
        return make_prompt(
            self._samples_of(recording),
            symbols,
            space=phones[" "].split() if " " in phones else [" "],
            name="The prompt" if isinstance(recording, Waveform) else str(recording),
            sample_rate=self.sample_rate,
            engine=self.engine,
            table=table,
        )

    def convert(
        self, recording: str | Path | Waveform, *, source: str, target: str, seed: int = 0
    ) -> Waveform:
        """Convert a recording of the speaker `source` to the voice of `target`.

        Raises UserError if the model does not support voice conversion, and for unknown speakers.
        """
        convert = getattr(self.engine, "convert", None)
        if convert is None:
            raise UserError(
                f"The voice '{self.name}' does not support voice conversion.",
                hint="Use a model that does, such as VITS with several speakers.",
            )
        speakers = self.vocabulary.speaker_id(source), self.vocabulary.speaker_id(target)
        converted = convert(self._samples_of(recording), *speakers, seed=seed)
        return Waveform(samples=converted, sample_rate=self.sample_rate)

    def use_vocoder(self, place: str | Path, **controls: Any) -> None:
        """Use the vocoder at `place` from now on.

        Raises UserError if the model generates waveforms itself, or if the vocoder takes other mels.
        """
        if not self.needs_vocoder:
            raise UserError(
                f"The voice '{self.name}' does not use a vocoder: its model generates waveforms."
            )
        self.engine.use_vocoder(place, controls)  # type: ignore[attr-defined]

    def _frontend(self, language: str) -> TextFrontend:
        return build_frontend(self.description.text, language, self.registry)

    def _check_language(self, language: str | None) -> str:
        """Return the language, by default the first; UserError if the voice does not support it."""
        chosen = language or self.languages[0]
        if chosen not in self.languages:
            raise UserError(
                f"The voice '{self.name}' does not speak the language '{chosen}'.",
                hint=near_miss(chosen, self.languages),
            )
        return chosen

    def _stream(self, script: Script, pause: float, controls: Any) -> Iterator[Samples]:
        stream = getattr(self.engine, "stream", None)
        for index, sentence in enumerate(script):
            if before := seconds_before(sentence, index, pause):
                yield silence(before, self.description.audio)
            paced = self._paced(controls, sentence.rate)
            if stream is None:
                yield self.engine.synthesize([sentence], paced)[0].samples
            else:
                yield from stream(sentence, paced)

    def _paced(self, controls: Any, rate: float) -> Any:
        """The controls for speech that is `rate` times as fast."""
        if rate == 1.0:
            return controls
        scale = controls.length_scale
        slower = tuple(one / rate for one in scale) if isinstance(scale, tuple) else scale / rate
        return evolve(controls, length_scale=slower)

    def _samples_of(self, recording: str | Path | Waveform) -> Samples:
        if not isinstance(recording, Waveform):
            from allophone.audio.files import read_audio

            audio = read_audio(recording, sample_rate=self.sample_rate)
            for note in audio.notes:
                _log.warning("%s: %s", recording, note)
            return audio.samples
        if recording.sample_rate != self.sample_rate:
            raise UserError(
                f"The sample rate of the recording is {recording.sample_rate} Hz, that of the voice "
                f"{self.sample_rate} Hz.",
                hint="Resample it, or give the path of a file, which is resampled automatically.",
            )
        return recording.samples
