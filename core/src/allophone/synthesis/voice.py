"""`load` a voice, let it `say` something.

    voice = allophone.load("joe")
    voice.say("Hello there.", length_scale=1.2).save("hello.wav")

N samples.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import define, field
from numpy.typing import NDArray
from torch import Tensor

from allophone.audio.files import read_audio
from allophone.config import structure
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.frontend import build_frontend
from allophone.registry import Registry, default_registry
from allophone.synthesis import rendering
from allophone.synthesis.folder import StoredVoice, VoiceDescription
from allophone.synthesis.places import find_voice
from allophone.synthesis.playing import PlayedVoice, find_playable
from allophone.synthesis.prompts import check_prompt, make_prompt
from allophone.synthesis.protocol import (
    Mels,
    Prompt,
    Prompted,
    Speech,
    StreamingSynthesizer,
    Synthesizer,
    Vocoder,
    VoiceConverter,
)
from allophone.synthesis.rendering import Line, Spoken, Take
from allophone.synthesis.script import Script, read_sentences
from allophone.synthesis.vocoders import FALLBACK, adjust, load_vocoder, stream, vocode
from allophone.synthesis.waveform import Waveform
from allophone.text.frontend import TextFrontend

SENTENCE_PAUSE = 0.2
"""Seconds of silence between two sentences, beside what the model itself makes at their ends."""

_log = logging.getLogger(__name__)


def load(
    place: str | Path,
    *,
    device: str | torch.device = "cpu",
    vocoder: str | Path | None = None,
    vocoder_controls: Mapping[str, Any] | None = None,
    registry: Registry | None = None,
) -> Voice:
    """Make a voice ready to speak.

    place: a voice folder, the folder of a run (its latest checkpoint speaks, with averaged weights
        where it keeps them), a checkpoint, the name of an installed voice, or a file or folder of
        another format that a plugin can play.
    device: as PyTorch names it: "cpu", "cuda", "cuda:1".
    vocoder: the folder of a vocoder, for a voice that makes mel spectrograms; without one it is heard
        through Griffin-Lim, which needs no training, and a warning is logged.
    vocoder_controls: what to set of that vocoder, where it has controls.
    Raises UserError for what is not there or does not fit, PluginError, with what to install, for a
    model family that is missing.
    """
    registry = registry or default_registry()
    playable = find_playable(place, registry)
    if playable is not None:
        played = playable.play(torch.device(device))
        voice = _ready(played, device=torch.device(device), vocoder=vocoder, registry=registry)
    else:
        stored = find_voice(place, registry).read(registry)
        voice = prepare(stored, device=torch.device(device), vocoder=vocoder, registry=registry)
    if vocoder_controls:
        if voice.vocoder is None:
            raise UserError(
                f"{', '.join(vocoder_controls)} of a vocoder was to be set, and none was given.",
                hint="Name the vocoder.",
            )
        voice.vocoder = adjust(voice.vocoder, vocoder_controls, registry, called=str(vocoder))
    return voice


def prepare(
    stored: StoredVoice,
    *,
    device: torch.device,
    vocoder: str | Path | None,
    registry: Registry,
) -> Voice:
    """Make a stored voice ready to speak."""
    model = registry.entry_of("models", stored.description.model).name
    build = registry.load("models", model, "synthesizer")
    played = PlayedVoice(
        description=stored.description,
        vocabulary=stored.vocabulary,
        synthesizer=build(stored.spec, stored.weights, device),
    )
    return _ready(played, device=device, vocoder=vocoder, registry=registry)


def _ready(
    played: PlayedVoice, *, device: torch.device, vocoder: str | Path | None, registry: Registry
) -> Voice:
    voice = Voice(
        description=played.description,
        vocabulary=played.vocabulary,
        synthesizer=played.synthesizer,
        device=device,
        registry=registry,
    )
    voice.controls({})
    if vocoder is not None:
        audio = played.description.audio
        voice.vocoder = load_vocoder(vocoder, audio, device=device, registry=registry)
    return voice


@define(kw_only=True, eq=False)
class Voice:
    """A voice that is ready to speak.

    What is random in a text depends on its seed alone: the same text with the same seed and controls
    is the same speech, alone, in a batch (within rounding) and streamed.

    Controls (`length_scale`, `noise_scale`, ...) are the model family's; those that are not given are
    as the voice's own folder says, or else the family. `speaker` and `language` are names; without
    one the first that the voice knows speaks.
    """

    description: VoiceDescription
    vocabulary: Vocabulary
    synthesizer: Synthesizer = field(repr=False)
    device: torch.device
    registry: Registry = field(repr=False)
    vocoder: Vocoder | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.description.about.name

    @property
    def sample_rate(self) -> int:
        """Samples a second of all that it says."""
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
        return isinstance(self.synthesizer, Prompted)

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
        """Say a text, sentence by sentence, with `pause` seconds between them.

        prompt: a recording in whose voice to say it, for voices that take one: see `prompt`.
        Sentence i is said with `seed + i`. Raises UserError for a text without words, symbols that the
        voice does not know, an unknown speaker, language or control.
        """
        return self.speak(
            text,
            speaker=speaker,
            language=language,
            prompt=prompt,
            seed=seed,
            pause=pause,
            **controls,
        ).waveform

    def speak(
        self,
        text: str,
        *,
        speaker: str | None = None,
        language: str | None = None,
        prompt: Prompt | None = None,
        seed: int = 0,
        pause: float = SENTENCE_PAUSE,
        **controls: Any,
    ) -> Spoken:
        """As `say`, with the times of all phonemes."""
        script = self.script(text, speaker=speaker, language=language, prompt=prompt)
        return self.perform(
            [script], seed=seed, pause=pause, batch_size=1, controls=self.controls(controls)
        )[0]

    def say_batch(
        self,
        texts: Sequence[str],
        *,
        speaker: str | None = None,
        language: str | None = None,
        prompt: Prompt | None = None,
        seed: int = 0,
        pause: float = SENTENCE_PAUSE,
        batch_size: int = 8,
        **controls: Any,
    ) -> list[Waveform]:
        """What `say` makes of each text, `batch_size` sentences of like length at a time."""
        scripts = [
            self.script(text, speaker=speaker, language=language, prompt=prompt) for text in texts
        ]
        spoken = self.perform(
            scripts,
            seed=seed,
            pause=pause,
            batch_size=batch_size,
            controls=self.controls(controls),
        )
        return [one.waveform for one in spoken]

    def stream(
        self,
        text: str,
        *,
        speaker: str | None = None,
        language: str | None = None,
        prompt: Prompt | None = None,
        seed: int = 0,
        pause: float = SENTENCE_PAUSE,
        **controls: Any,
    ) -> Iterator[NDArray[np.float32]]:
        """As `say`, in chunks [N] that come as soon as they are made and join to what `say` gives.

        The text and the controls are checked at once, before the first chunk is asked for.
        """
        script = self.script(text, speaker=speaker, language=language, prompt=prompt)
        return self._stream(script, seed, pause, self.controls(controls))

    def convert(
        self, recording: str | Path | Waveform, *, source: str, target: str, seed: int = 0
    ) -> Waveform:
        """Say a recording of the speaker `source` again in the voice of `target`.

        Raises UserError where the voice's model cannot, and for speakers that it does not know.
        """
        if not isinstance(self.synthesizer, VoiceConverter):
            raise UserError(
                f"The voice '{self.name}' cannot convert recordings: its model only reads texts."
            )
        speakers = self.vocabulary.speaker_id(source), self.vocabulary.speaker_id(target)
        samples = self._samples_of(recording)
        with torch.inference_mode():
            converted = self.synthesizer.convert(
                torch.from_numpy(samples).to(self.device), *speakers, seed=seed
            )
        return Waveform(samples=rendering.to_numpy(converted), sample_rate=self.sample_rate)

    def prompt(
        self,
        recording: str | Path | Waveform,
        *,
        text: str | None = None,
        language: str | None = None,
    ) -> Prompt:
        """A recording in whose voice to speak, for voices that take one; it may be used many times.

        text: what is said in it, every word. Without it, what is said with the prompt has to begin with
            those words: the speech then begins with the recording, and goes on from it.
        Raises UserError for a voice that takes none, and for what is too short, too long or silent.
        """
        table, symbols = self.vocabulary.symbols, list[str]()
        if text is not None:
            frontend = self._frontend(self._spoken(language))
            sentences = read_sentences(text, frontend, table, whole=True)
            symbols = [symbol for sentence in sentences for symbol in sentence.symbols]
        phones = self.description.text.phones
        return make_prompt(
            self._samples_of(recording),
            symbols,
            space=phones[" "].split() if " " in phones else [" "],
            name="The prompt" if isinstance(recording, Waveform) else str(recording),
            sample_rate=self.sample_rate,
            synthesizer=self.synthesizer,
            table=table,
            device=self.device,
        )

    def script(
        self,
        text: str,
        *,
        speaker: str | None = None,
        language: str | None = None,
        prompt: Prompt | None = None,
    ) -> Script:
        """Read a text, without saying it yet. Raises UserError for what cannot be said."""
        check_prompt(prompt, self.synthesizer)
        spoken = self._spoken(language)
        continued = prompt is not None and prompt.continued
        return Script(
            sentences=read_sentences(
                text, self._frontend(spoken), self.vocabulary.symbols, whole=continued
            ),
            speaker=self.vocabulary.speaker_id(speaker),
            language=self.languages.index(spoken),
            prompt=prompt,
        )

    def controls(self, given: Mapping[str, Any]) -> Any:
        """The model family's controls, as the voice has them but for what is given.

        Raises ConfigError for unknown ones, with near misses, and for values that are not valid.
        """
        return structure(
            self.synthesizer.controls,
            {**self.description.controls, **given},
            where=f"What to control of '{self.name}'",
            registry=self.registry,
        )

    def perform(
        self,
        scripts: Sequence[Script],
        *,
        seed: int,
        pause: float,
        batch_size: int,
        controls: Any,
    ) -> list[Spoken]:
        """Say scripts, `batch_size` sentences of like length at a time."""
        lines = [line for script in scripts for line in rendering.lines_of(script, seed)]
        takes: dict[int, Take] = {}
        for chosen in rendering.batches(lines, batch_size):
            batch = [lines[index] for index in chosen]
            said = rendering.say_lines(batch, self.synthesizer, controls, self._hear, self.device)
            takes.update(zip(chosen, said, strict=True))
        in_order = iter([takes[index] for index in range(len(lines))])
        spoken = [
            rendering.join(
                script,
                [next(in_order) for _ in script.sentences],
                pause=pause,
                audio=self.description.audio,
                table=self.vocabulary.symbols,
            )
            for script in scripts
        ]
        for sentence, why in (item for one in spoken for item in one.cut_off.items()):
            _log.warning("'%s' did not come to its end: %s.", sentence, why)
        return spoken

    def _spoken(self, language: str | None) -> str:
        """The language that was asked for, or the first; UserError for one that it does not speak."""
        spoken = language or self.languages[0]
        if spoken not in self.languages:
            self.vocabulary.language_id(language)
        return spoken

    def _frontend(self, language: str) -> TextFrontend:
        return build_frontend(self.description.text, language, self.registry)

    def _stream(
        self, script: Script, seed: int, pause: float, controls: Any
    ) -> Iterator[NDArray[np.float32]]:
        for index, line in enumerate(rendering.lines_of(script, seed)):
            if index:
                yield rendering.silent(pause, self.description.audio)
            yield from _chunks(self._chunks_of(line, controls))

    def _chunks_of(self, line: Line, controls: Any) -> Iterator[Tensor]:
        """One line in chunks [N], as soon as the model, or else the vocoder, has the first of them."""
        text = rendering.text_batch([line], self.device)
        if isinstance(self.synthesizer, StreamingSynthesizer):
            self._leave_out_vocoder()
            yield from self.synthesizer.stream(text, controls)
            return
        said = self.synthesizer.synthesize(text, controls)
        if isinstance(said, Mels):
            yield from stream(self._ready_vocoder(), said)
        else:
            yield self._hear(said).waveform[0, : int(said.lengths[0])]

    def _hear(self, said: Mels | Speech) -> Speech:
        if isinstance(said, Mels):
            return vocode(self._ready_vocoder(), said)
        self._leave_out_vocoder()
        return said

    def _leave_out_vocoder(self) -> None:
        """Say so, once, where a vocoder was given to a model that makes waveforms."""
        if self.vocoder is not None:
            _log.warning("'%s' makes waveforms without a vocoder: none is used.", self.name)
            self.vocoder = None

    def _ready_vocoder(self) -> Vocoder:
        if self.vocoder is None:
            _log.warning(
                "'%s' makes mel spectrograms and no vocoder was given: they are heard through "
                "Griffin-Lim, which sounds hollow.",
                self.name,
            )
            self.vocoder = load_vocoder(
                FALLBACK, self.description.audio, device=self.device, registry=self.registry
            )
        return self.vocoder

    def _samples_of(self, recording: str | Path | Waveform) -> NDArray[np.float32]:
        if not isinstance(recording, Waveform):
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


def _chunks(chunks: Iterator[Tensor]) -> Iterator[NDArray[np.float32]]:
    """Take chunks one by one, so that inference mode ends before the caller goes on."""
    while True:
        with torch.inference_mode():
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield rendering.to_numpy(chunk)
