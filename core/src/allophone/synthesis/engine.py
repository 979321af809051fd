"""The interface of inference engines: sentences in, audio samples out.

All arguments and results are plain Python and NumPy, so that an engine does not need PyTorch and callers do
not depend on the engine.

N samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from attrs import Factory, frozen
from numpy.typing import NDArray

from allophone.data.vocabulary import Vocabulary
from allophone.registry import Registry
from allophone.synthesis.description import VoiceDescription

Samples = NDArray[np.float32]
"""Mono audio [N] in [-1, 1]."""


@frozen(kw_only=True, eq=False)
class Prompt:
    """A recording of the speaker to clone.

    ids: its transcript as ids without bos and eos, to be inserted after the first
        `SymbolTable.opening_length` ids of a sentence; empty if the sentence begins with the transcript.
    samples: [N] at the voice's sample rate.
    """

    ids: tuple[int, ...]
    samples: Samples

    @property
    def continued(self) -> bool:
        """Whether the speech begins with the prompt and continues from it."""
        return not self.ids


@frozen(kw_only=True)
class Sentence:
    """One sentence to synthesize.

    symbols: without blanks, bos and eos.
    ids: the encoded symbols, including blanks, bos and eos.
    speaker, language: ids.
    seed: the only source of randomness in the sentence.
    prompt: the speaker to clone, for voices that take prompts.
    pause: seconds of silence before the sentence; None for the default pause (none before the first sentence).
    rate: the speaking rate, a factor that the voice applies in addition to the controls.
    """

    text: str
    symbols: tuple[str, ...]
    ids: tuple[int, ...]
    speaker: int = 0
    language: int = 0
    seed: int = 0
    prompt: Prompt | None = None
    pause: float | None = None
    rate: float = 1.0


@frozen(kw_only=True, eq=False)
class SentenceAudio:
    """The audio of a sentence.

    durations: frames of each id, or None if the engine does not provide them.
    cut_off: why synthesis stopped before the end of the sentence; None if it was completed.
    """

    samples: Samples
    durations: tuple[int, ...] | None = None
    cut_off: str | None = None


class Engine(Protocol):
    """A loaded voice.

    Two members are required. The following are optional; omit them, or set them to None, if they do not
    apply:

        stream(sentence, controls) -> Iterator[Samples]
            Yields the chunks of one sentence as they are computed. Concatenated, they equal the output of
            `synthesize` exactly.
        convert(samples, source, target, *, seed) -> Samples
            Converts a recording of the speaker `source` (an id) to the voice of `target`.
        prompt_seconds: tuple[float, float]
            The shortest and longest prompt, if the engine takes prompts.
        needs_prompt: bool
            Whether a prompt is required.
        needs_vocoder: bool
            Whether the model predicts mel spectrograms, so that a vocoder can be chosen:
        use_vocoder(place, controls) -> None
            Uses the vocoder at `place`, with these controls, from now on.
        concurrent: bool
            Whether several threads may call `stream` and `synthesize` at the same time, and are together
            faster than one. Otherwise, a server calls them in one thread.
        provenance: Mapping[str, Any]
            Plain data that identifies the voice, such as a digest of the weights. Equal provenance means
            equal audio.
    """

    @property
    def controls(self) -> type:
        """The attrs class of the controls (`length_scale`, ...); every field has a default and a
        validator."""
        ...

    def synthesize(self, sentences: Sequence[Sentence], controls: Any) -> list[SentenceAudio]:
        """Synthesize sentences in one batch; `controls` is an instance of `self.controls`.

        The samples of a sentence do not depend on the batch, up to rounding.
        """
        ...


@frozen(kw_only=True)
class EngineOptions:
    """Options for loading a voice.

    device: a PyTorch device name: "cpu", "cuda", "cuda:1". Engines raise UserError if they cannot use it.
    vocoder, vocoder_controls: the place of a vocoder and its controls, for models that predict mel
        spectrograms. Engines whose models generate waveforms ignore them with a warning.
    """

    device: str = "cpu"
    vocoder: str | Path | None = None
    vocoder_controls: Mapping[str, Any] = Factory(dict)
    registry: Registry


@frozen(kw_only=True, eq=False)
class LoadedVoice:
    """A voice as loaded by an engine."""

    description: VoiceDescription
    vocabulary: Vocabulary
    engine: Engine
