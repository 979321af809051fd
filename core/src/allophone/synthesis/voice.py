"""`Voice`: speaks texts, whole, in batches and streamed.

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
from allophone.frontend import build_frontend
from allophone.registry import Registry
from allophone.synthesis.description import VoiceDescription
from allophone.synthesis.engine import Engine, Prompt, Samples, SentenceAudio
from allophone.synthesis.prompts import check_prompt, make_prompt, takes_prompts
from allophone.synthesis.script import Script, batches, join, read_script, seconds_before, silence
from allophone.synthesis.waveform import Waveform
from allophone.text.frontend import TextFrontend

SENTENCE_PAUSE = 0.2
"""Seconds of silence between two sentences, beside what the model itself makes at their ends."""

_log = logging.getLogger(__name__)


@define(kw_only=True, eq=False)
class Voice:
    """A voice that is ready to speak; `allophone.load` makes one.

    Everything random in a text depends on its seed alone: the same text with the same seed and controls
    gives the same audio, alone, in a batch (within rounding) and streamed.

    Controls (`length_scale`, `noise_scale`, ...) are the model family's; those that are not given have the
    values of the voice's description, or else the family's defaults. `speaker` and `language` are names;
    without one, the voice's first speaks.
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
        """Of all its audio, Hz."""
        return self.description.audio.sample_rate

    @property
    def speakers(self) -> tuple[str, ...]:
        """The names of its speakers; may be empty where there is only one."""
        return self.vocabulary.speakers

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages it speaks."""
        return self.vocabulary.languages or (self.description.text.language,)

    @property
    def takes_prompts(self) -> bool:
        """Whether it speaks in the voice of recordings that it is given: see `prompt`."""
        return takes_prompts(self.engine)

    @property
    def needs_vocoder(self) -> bool:
        """Whether its model predicts mel spectrograms, so that a vocoder can be chosen."""
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
        """Speak a text, sentence by sentence, with `pause` seconds between them.

        prompt: a recording whose voice to speak in, for voices that take one: see `prompt`.
        Sentence i is spoken with `seed + i`. Raises UserError for a text without words, symbols that the
        voice does not know, an unknown speaker, language or control.
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
        """What `say` gives for each text, `batch_size` sentences of similar length at a time."""
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
        """As `say`, in chunks [N] that come as soon as they are computed and join to what `say` gives.

        The text and the controls are checked at once, before the first chunk is asked for.
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
        """The sentences of a text as the engine is given them. Raises UserError as `say` does."""
        check_prompt(prompt, self.engine)
        spoken = self._spoken(language)
        script = read_script(
            text,
            self._frontend(spoken),
            self.vocabulary.symbols,
            speaker=self.vocabulary.speaker_id(speaker),
            language=self.languages.index(spoken),
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
        """Speak scripts, `batch_size` sentences of similar length at a time."""
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
            _log.warning("'%s' did not come to its end: %s.", sentence, why)
        return waveforms

    def controls(self, given: Mapping[str, Any]) -> Any:
        """The controls with what is given, the rest as the voice or its family has it.

        Raises ConfigError for unknown ones, with near misses, and for values that are not valid.
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
        """A recording whose voice to speak in, for voices that take one; it may be used many times.

        text: what is said in it, every word. Without it, what is spoken with the prompt has to begin with
            those words: the speech then begins with the recording, and continues from it.
        Raises UserError for a voice that takes none, and for what is too short, too long or silent.
        """
        table, symbols = self.vocabulary.symbols, list[str]()
        if text is not None:
            frontend = self._frontend(self._spoken(language))
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

        Raises UserError where the voice's model cannot, and for speakers that it does not know.
        """
        convert = getattr(self.engine, "convert", None)
        if convert is None:
            raise UserError(
                f"The voice '{self.name}' cannot convert recordings: its model only reads texts.",
                hint="Voice conversion needs a model that has it, such as VITS with several speakers.",
            )
        speakers = self.vocabulary.speaker_id(source), self.vocabulary.speaker_id(target)
        converted = convert(self._samples_of(recording), *speakers, seed=seed)
        return Waveform(samples=converted, sample_rate=self.sample_rate)

    def use_vocoder(self, place: str | Path, **controls: Any) -> None:
        """Speak through the vocoder at `place` from now on.

        Raises UserError for a voice whose model makes waveforms, and for a vocoder that does not fit.
        """
        if not self.needs_vocoder:
            raise UserError(f"The voice '{self.name}' needs no vocoder: its model makes waveforms.")
        self.engine.use_vocoder(place, controls)  # type: ignore[attr-defined]

    def _frontend(self, language: str) -> TextFrontend:
        return build_frontend(self.description.text, language, self.registry)

    def _spoken(self, language: str | None) -> str:
        """The language that was asked for, or the first; UserError for one that it does not speak."""
        spoken = language or self.languages[0]
        if spoken not in self.languages:
            raise UserError(
                f"There is no language '{spoken}' here.", hint=near_miss(spoken, self.languages)
            )
        return spoken

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
                f"The recording has {recording.sample_rate} samples a second, the voice "
                f"{self.sample_rate}.",
                hint="Give the path of a file, which is resampled, or resample it.",
            )
        return recording.samples
