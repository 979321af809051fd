"""What an evaluation metric of synthesized speech is.

    def build(config: WordErrorsConfig, context: MetricContext) -> Metric: ...

    metric.score([SynthesizedSpeech(...), ...])     # [{"wer": 0.12}, ...]

N samples, M samples of the reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from allophone.audio.melspec import MelSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@frozen(kw_only=True, eq=False)
class SynthesizedSpeech:
    """One utterance to evaluate.

    id: of the utterance, for messages.
    samples: float32 [N], full scale at -1 and 1.
    sample_rate: of the samples and of the reference, Hz.
    text, language: what should be said, as written, and in which language; None where it is not known.
    reference: a recording of the same text by the same speaker, float32 [M], or None.
    synthesis_seconds: how long the synthesis took; None where it was not measured.
    first_audio_seconds: how long until the first chunk of a stream; None where it was not measured.
    """

    id: str
    samples: NDArray[np.float32]
    sample_rate: int
    text: str | None = None
    language: str | None = None
    reference: NDArray[np.float32] | None = None
    synthesis_seconds: float | None = None
    first_audio_seconds: float | None = None


@frozen(kw_only=True)
class MetricContext:
    """What metrics are built with.

    audio: the `[audio]` table of the voice.
    device: where to compute, as PyTorch names it: "cpu", "cuda:0".
    """

    audio: MelSpec
    device: str = "cpu"


class Metric(Protocol):
    """Scores speech.

    A score depends on its utterance only: a batch gets the scores of the single utterances, and the same each
    time. The arrays are not modified. Speech that is identical to its reference gets the best score.

    Optional member: `weights(speech) -> Sequence[Mapping[str, float]]`, for scores that are rates, such as
    errors per word: how much each utterance counts in the mean of each score, by name (the number of its
    words). Scores that are not named count 1. A weight does not depend on the samples.
    """

    def score(self, speech: Sequence[SynthesizedSpeech]) -> Sequence[Mapping[str, float]]:
        """The scores of each utterance, in order, by the names in `MetricEntry.scores`.

        speech: at least one utterance, each with what the entry needs. NaN for one that cannot be scored.
        """
        ...
