"""What a model must do to speak, and what a vocoder must do to be heard.

B batch, T text, F frames, M mels, N samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from attrs import frozen
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.data.batch import Batch
from allophone.data.vocabulary import Vocabulary


@frozen(kw_only=True)
class VoiceSpec:
    """What a synthesizer is built from, beside its weights.

    model: the config of the `[model]` table.
    folder: where the voice lies, for what its family keeps beside the weights; None for a run.
    """

    model: Any
    audio: MelSpec
    vocabulary: Vocabulary
    folder: Path | None = None


@frozen(kw_only=True, eq=False)
class Prompt:
    """A recording in whose voice a sentence is said.

    ids: what is said in it, as ids [T] int64 that can be put in after the first
        `SymbolTable.opening_length` ids of a sentence (no beginning, no end); empty where the sentence
        itself begins with those words.
    waveform: [N] float32 at the model's sample rate.
    """

    ids: Tensor
    waveform: Tensor

    @property
    def continued(self) -> bool:
        """Whether the speech is to begin with the prompt itself and go on from it."""
        return not len(self.ids)


@frozen(kw_only=True)
class TextBatch:
    """Sentences as ids: ids [B, T] int64 (zero past lengths), lengths [B], speakers and languages [B].

    seeds: one a row: what is random in a row depends on its seed alone, so that a batch says just
        what its rows would say one by one.
    prompts: one a row, for synthesizers that are `Prompted`; rows may share one. None where none were
        given.
    """

    ids: Tensor
    lengths: Tensor
    speakers: Tensor
    languages: Tensor
    seeds: tuple[int, ...]
    prompts: tuple[Prompt, ...] | None = None


@frozen(kw_only=True)
class Speech:
    """What a text-to-waveform model says.

    waveform: [B, N] float32, zero past lengths [B] (samples).
    durations: frames of each id [B, T], or None where the model has none.
    cut_off: what stopped a row before its end, in a few words, or None for one that came to its end; for
        models that may not.
    """

    waveform: Tensor
    lengths: Tensor
    durations: Tensor | None = None
    cut_off: tuple[str | None, ...] | None = None


@frozen(kw_only=True)
class Mels:
    """What a text-to-mel model says, for a vocoder: mel [B, M, F], zero past lengths [B] (frames)."""

    mel: Tensor
    lengths: Tensor
    durations: Tensor | None = None


class Synthesizer(Protocol):
    """A model that is ready to speak: its weights are in place, and nothing is left to prepare.

    controls: the attrs class of what a caller may set (`length_scale`, `noise_scale`, ...); every field
        has a default and validates itself.
    """

    @property
    def controls(self) -> type: ...

    def synthesize(self, text: TextBatch, controls: Any) -> Speech | Mels:
        """Say some sentences. `controls` is an instance of `self.controls`."""
        ...


@runtime_checkable
class StreamingSynthesizer(Protocol):
    """A synthesizer that can begin to speak before it has thought a sentence through."""

    def stream(self, text: TextBatch, controls: Any) -> Iterator[Tensor]:
        """Chunks [N] of one sentence (B = 1) that join to exactly what `synthesize` gives."""
        ...


@runtime_checkable
class Prompted(Protocol):
    """A synthesizer that speaks in the voice of a recording that it is given (`TextBatch.prompts`)."""

    @property
    def prompt_seconds(self) -> tuple[float, float]:
        """How short and how long such a recording may be."""
        ...

    @property
    def needs_prompt(self) -> bool:
        """Whether it cannot speak without one."""
        ...


@runtime_checkable
class VoiceConverter(Protocol):
    """A synthesizer that can say a recording again in another speaker's voice."""

    def convert(self, waveform: Tensor, source: int, target: int, *, seed: int) -> Tensor:
        """waveform [N] at the model's sample rate, speakers by id; returns [N']."""
        ...


@runtime_checkable
class Aligner(Protocol):
    """A synthesizer that can tell how long each id of a text lasts in a recording of it."""

    def align(self, text: TextBatch, waveform: Tensor, lengths: Tensor) -> Tensor:
        """waveform [B, N] at the model's sample rate, lengths [B] in samples; returns durations [B, T]
        int64 in frames, zero past the text, whose sum is `MelSpec.frames` of the recording."""
        ...


@runtime_checkable
class TeacherForced(Protocol):
    """A text-to-mel synthesizer that can say recordings again, frame by frame in step with them.

    features: the stored features that a batch must carry, as an objective names them.
    """

    @property
    def features(self) -> tuple[str, ...]: ...

    def reconstruct(self, batch: Batch) -> Mels:
        """Mels with the recordings' own durations and prosody: `MelSpec.frames` frames of each."""
        ...


@frozen(kw_only=True)
class VocoderSpec:
    """What a vocoder is built from, beside its weights; `audio` is the mel that it takes."""

    vocoder: Any
    audio: MelSpec


class Vocoder(Protocol):
    """Turns mels of its own MelSpec into waveforms."""

    @property
    def audio(self) -> MelSpec: ...

    def vocode(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """mel [B, M, F] and lengths [B] in frames to a waveform [B, F * hop_length]."""
        ...


@runtime_checkable
class AdjustableVocoder(Protocol):
    """A vocoder with something to choose, such as how many steps it takes.

    controls: what is chosen now, an instance of an attrs class of which every field has a default and
        validates itself.
    """

    @property
    def controls(self) -> Any: ...

    def adjusted(self, controls: Any) -> Vocoder:
        """The same vocoder with other controls, of the class of its own; this one stays as it is."""
        ...


@runtime_checkable
class StreamingVocoder(Protocol):
    """A vocoder that can be heard before it has gone through the whole mel."""

    def stream(self, mel: Tensor) -> Iterator[Tensor]:
        """Chunks [N] of one mel [1, M, F] that join to exactly what `vocode` gives."""
        ...
