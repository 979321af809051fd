"""What a model family gives the engine `torch`: a synthesizer; and what a vocoder is.

Tensors stay on the device from the ids to the samples. B batch, T text, F frames, M mels, N samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from attrs import frozen
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.data.vocabulary import Vocabulary
from allophone.synthesis.engine import Prompt


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


@frozen(kw_only=True)
class TextBatch:
    """Sentences as ids: ids [B, T] int64 (zero past lengths), lengths [B], speakers and languages [B].

    seeds: one a row: everything random in a row depends on its seed alone, so that a row is the same in any
        batch.
    prompts: one a row, for synthesizers that take them; rows may share one. None where none were given.
    """

    ids: Tensor
    lengths: Tensor
    speakers: Tensor
    languages: Tensor
    seeds: tuple[int, ...]
    prompts: tuple[Prompt, ...] | None = None


@frozen(kw_only=True)
class Speech:
    """What a text-to-waveform model returns.

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
    """What a text-to-mel model returns, for a vocoder: mel [B, M, F], zero past lengths [B] (frames)."""

    mel: Tensor
    lengths: Tensor
    durations: Tensor | None = None


class Synthesizer(Protocol):
    """A model that is ready to speak: its weights are loaded, and nothing is left to prepare.

    Two members are required. These are optional; leave out what does not apply:

        stream(text: TextBatch, controls) -> Iterator[Tensor]
            Chunks [N] of one sentence (B = 1) that join to exactly what `synthesize` gives, the first of
            them before the whole sentence is synthesized. For models that make waveforms.
        align(text: TextBatch, waveform: Tensor, lengths: Tensor) -> Tensor
            How long each id lasts in recordings of the texts: waveform [B, N] at the model's sample rate,
            lengths [B] in samples; returns durations [B, T] int64 in frames, zero past the text, whose sum
            is `MelSpec.frames` of the recording. For durations by a trained voice.
        convert(waveform: Tensor, source: int, target: int, *, seed: int) -> Tensor
            Voice conversion: waveform [N] at the model's sample rate, speakers by id; returns [N'].
        prompt_seconds: tuple[float, float]; needs_prompt: bool
            The model clones the voice of a recording (`TextBatch.prompts`): how short and how long it may
            be, and whether the model cannot speak without one.
        features: tuple[str, ...]; reconstruct(batch: Batch) -> Mels
            Teacher forcing, for text-to-mel models: predicts the mels of recordings with their own durations
            and prosody, `MelSpec.frames` frames of each. `features` names the stored features that the
            batch must carry. For `allophone synthesize --mels`.
    """

    @property
    def controls(self) -> type:
        """The attrs class of what a caller can set (`length_scale`, `noise_scale`, ...); every field has a
        default and validates itself."""
        ...

    def synthesize(self, text: TextBatch, controls: Any) -> Speech | Mels:
        """Speak some sentences. `controls` is an instance of `self.controls`."""
        ...


@frozen(kw_only=True)
class VocoderSpec:
    """What a vocoder is built from, beside its weights; `audio` is the mel that it takes."""

    vocoder: Any
    audio: MelSpec


class Vocoder(Protocol):
    """Turns mels of its own MelSpec into waveforms.

    Two members are required. These are optional; leave out what does not apply:

        stream(mel: Tensor) -> Iterator[Tensor]
            Chunks [N] of one mel [1, M, F] that join to exactly what `vocode` gives.
        controls: Any; adjusted(controls) -> Vocoder
            What can be set, such as a number of steps: an instance of an attrs class of which every field
            has a default and validates itself. `adjusted` returns the same vocoder with other controls of
            that class; this one stays as it is.
    """

    @property
    def audio(self) -> MelSpec: ...

    def vocode(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """mel [B, M, F] and lengths [B] in frames to a waveform [B, F * hop_length]."""
        ...
