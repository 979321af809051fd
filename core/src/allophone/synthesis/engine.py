"""Between text and samples: what an inference engine is given, and what it returns.

Everything that crosses here is plain Python and NumPy, so an engine needs no PyTorch and a caller need
not know which engine speaks.

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
"""One channel of audio [N], full scale at -1 and 1."""


@frozen(kw_only=True, eq=False)
class Prompt:
    """A recording whose voice a sentence is spoken in.

    ids: what is said in it, as ids that follow the first `SymbolTable.opening_length` ids of a sentence
        (no beginning, no end); empty where the sentence itself begins with those words.
    samples: [N] at the voice's sample rate.
    """

    ids: tuple[int, ...]
    samples: Samples

    @property
    def continued(self) -> bool:
        """Whether the speech begins with the prompt itself and continues from it."""
        return not self.ids


@frozen(kw_only=True)
class Sentence:
    """One sentence to be spoken, and how.

    symbols: without what the symbol table puts around them; ids: with it.
    speaker, language: ids.
    seed: everything random in the sentence depends on it alone.
    prompt: for voices that take one.
    pause: seconds of silence before it; None for the usual pause, which the first sentence has none of.
    rate: how fast it is spoken, a factor on top of the controls, which the voice applies.
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
    """A sentence that was spoken.

    durations: frames of each id, or None where the engine does not tell.
    cut_off: what stopped it before its end, in a few words; None where it came to its end.
    """

    samples: Samples
    durations: tuple[int, ...] | None = None
    cut_off: str | None = None


class Engine(Protocol):
    """A voice that is loaded and ready to speak.

    Two members are required. These are optional; leave them out, or None, where they don't apply:

        stream(sentence, controls) -> Iterator[Samples]
            The chunks of one sentence as soon as each is computed. They join to exactly what
            `synthesize` gives.
        convert(samples, source, target, *, seed) -> Samples
            Converts a recording of the speaker `source` (an id) to the voice of `target`.
        prompt_seconds: tuple[float, float]
            The engine takes prompts; how short and how long they may be.
        needs_prompt: bool
            It cannot speak without one.
        needs_vocoder: bool
            Its model predicts mel spectrograms, and the vocoder can be chosen:
        use_vocoder(place, controls) -> None
            Speak through the vocoder at `place` from now on, with these controls set.
        provenance: Mapping[str, Any]
            Plain data that tell its audio from that of any other voice, such as a digest of the weights.
    """

    @property
    def controls(self) -> type:
        """The attrs class of what a caller can set (`length_scale`, ...); every field has a default and
        validates itself."""
        ...

    def synthesize(self, sentences: Sequence[Sentence], controls: Any) -> list[SentenceAudio]:
        """Speak some sentences in one batch; `controls` is an instance of `self.controls`.

        Each sentence gives the same samples as alone, within rounding.
        """
        ...


@frozen(kw_only=True)
class EngineOptions:
    """How a voice is to be loaded.

    device: as PyTorch names it: "cpu", "cuda", "cuda:1". UserError for one that the engine cannot use.
    vocoder, vocoder_controls: for models of mel spectrograms: the place of a vocoder, and what to set of it.
        An engine whose model makes waveforms ignores them with a warning.
    """

    device: str = "cpu"
    vocoder: str | Path | None = None
    vocoder_controls: Mapping[str, Any] = Factory(dict)
    registry: Registry


@frozen(kw_only=True, eq=False)
class LoadedVoice:
    """What an engine makes of a voice's files: how its texts are read, and what speaks them."""

    description: VoiceDescription
    vocabulary: Vocabulary
    engine: Engine
