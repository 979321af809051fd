"""The protocols of the engine `torch`: `Synthesizer` for model families, and `Vocoder`.

Tensors stay on the device from the ids to the samples.
B batch, T text, F frames, M mel bands, N samples.
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
    """The arguments for building a synthesizer, apart from its weights.

    model: the config of the `[model]` table.
    folder: the voice folder, for families that store further files in it; None for a run.
    """

    model: Any
    audio: MelSpec
    vocabulary: Vocabulary
    folder: Path | None = None


@frozen(kw_only=True)
class TextBatch:
    """A batch of sentences.

    ids: [B, T] int64, zero past lengths.
    lengths: [B].
    speakers, languages: ids [B].
    seeds: one per row; the only source of randomness of the row, so that its output does not depend on the
        batch.
    prompts: one per row, for synthesizers that take prompts; rows may share one. None without prompts.
    """

    ids: Tensor
    lengths: Tensor
    speakers: Tensor
    languages: Tensor
    seeds: tuple[int, ...]
    prompts: tuple[Prompt, ...] | None = None


@frozen(kw_only=True)
class Speech:
    """The output of a text-to-waveform model.

    waveform: [B, N] float32, zero past lengths.
    lengths: [B] in samples.
    durations: frames of each id [B, T]; None if the model predicts no durations.
    cut_off: for each row, why synthesis stopped before its end, or None if it was completed; for models
        that may stop early.
    """

    waveform: Tensor
    lengths: Tensor
    durations: Tensor | None = None
    cut_off: tuple[str | None, ...] | None = None


@frozen(kw_only=True)
class Mels:
    """The output of a text-to-mel model.

    mel: [B, M, F], zero past lengths.
    lengths: [B] in frames.
    durations: frames of each id [B, T]; None if the model predicts no durations.
    """

    mel: Tensor
    lengths: Tensor
    durations: Tensor | None = None


class Synthesizer(Protocol):
    """A model that is ready for inference, with its weights loaded.

    Two members are required. The following are optional; omit those that do not apply:

        stream(text: TextBatch, controls) -> Iterator[Tensor]
            Yields chunks [N] of one sentence (B = 1), the first of them before the whole sentence is
            synthesized. Concatenated, they equal the output of `synthesize` exactly. For models that generate
            waveforms.
        align(text: TextBatch, waveform: Tensor, lengths: Tensor) -> Tensor
            Aligns recordings with their texts: waveform [B, N] at the model's sample rate, lengths [B] in
            samples. Returns durations [B, T] int64 in frames, zero past the text; each row sums to
            `MelSpec.frames` of the recording. For extracting durations with a trained voice.
        convert(waveform: Tensor, source: int, target: int, *, seed: int) -> Tensor
            Voice conversion: waveform [N] at the model's sample rate, speakers by id; returns [N'].
        prompt_seconds: tuple[float, float]; needs_prompt: bool
            For models that clone the voice of a recording (`TextBatch.prompts`): its shortest and longest
            duration, and whether it is required.
        features: tuple[str, ...]; reconstruct(batch: Batch) -> Mels
            Teacher forcing, for text-to-mel models: predicts the mels of recordings from their ground-truth
            durations and prosody, `MelSpec.frames` frames each. `features` names the stored features that
            the batch must contain. For `allophone synthesize --mels`.
    """

    @property
    def controls(self) -> type:
        """The attrs class of the controls (`length_scale`, `noise_scale`, ...); every field has a default and
        a validator."""
        ...

    def synthesize(self, text: TextBatch, controls: Any) -> Speech | Mels:
        """Synthesize a batch of sentences; `controls` is an instance of `self.controls`."""
        ...


@frozen(kw_only=True)
class VocoderSpec:
    """The arguments for building a vocoder, apart from its weights.

    vocoder: the config of the `[vocoder]` table.
    audio: the MelSpec of its input.
    """

    vocoder: Any
    audio: MelSpec


class Vocoder(Protocol):
    """Converts mel spectrograms of one MelSpec to waveforms.

    Two members are required. The following are optional; omit those that do not apply:

        stream(mel: Tensor) -> Iterator[Tensor]
            Yields chunks [N] of one mel [1, M, F]. Concatenated, they equal the output of `vocode` exactly.
        controls: Any; with_controls(controls) -> Vocoder
            Settings such as the number of sampling steps: an instance of an attrs class whose fields have
            defaults and validators. `with_controls` returns a copy of the vocoder with other controls of that
            class.
    """

    @property
    def audio(self) -> MelSpec:
        """The MelSpec of the input."""
        ...

    def vocode(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Convert mel [B, M, F], with lengths [B] in frames, to waveforms [B, F * hop_length]."""
        ...
