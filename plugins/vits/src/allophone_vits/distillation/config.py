"""Configuration of distillation: the table `[trainer]`, and those of what a teacher computed in `[features]`.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen, validators

from allophone_vocos.config import VocosTrainerConfig

DECODER = "decoder"
FLOW = "flow"
TEXT_ENCODER = "text_encoder"
PARTS = (DECODER, FLOW, TEXT_ENCODER)
"""The parts of VITS that a student can learn, as they are named in `[model]`."""

LATENTS = "latents"
PRIOR_SAMPLES = "prior-samples"
ENCODED_TEXT = "encoded-text"
"""What a teacher computed, by the names of the features, and of the folders that `allophone distill` writes."""

FEATURES: Mapping[str, tuple[str, ...]] = {
    DECODER: ("waveform", LATENTS),
    FLOW: (LATENTS, PRIOR_SAMPLES),
    TEXT_ENCODER: ("phonemes", ENCODED_TEXT),
}
"""The features that each part learns from."""

_weight: Any = validators.ge(0)


def features_of(parts: Iterable[str]) -> tuple[str, ...]:
    """The features that these parts learn from, each once; waveforms and latents are always among them."""
    return tuple(dict.fromkeys(name for part in (DECODER, *parts) for name in FEATURES[part]))


@frozen(kw_only=True)
class LatentsConfig:
    """Latents of a teacher's speech, as `allophone distill` writes them: before its flow, or before its decoder.

    directory: folder with a file `<id>.npy`, [F, C], for each utterance.
    """

    directory: str = "teacher/latents"


@frozen(kw_only=True)
class EncodedTextConfig:
    """What a teacher's text encoder made of the texts, as `allophone distill` writes it.

    directory: folder with a file `<id>.npy`, [T, H + 2 C], for each utterance.
    """

    directory: str = "teacher/encoded-text"


@frozen(kw_only=True)
class DistillTrainerConfig(VocosTrainerConfig):
    """Training of a student's parts to do as those of its teacher, `type = "vits.distill"`.

    parts: what the student learns, of "decoder", "flow" and "text_encoder"; the rest is the teacher's.
    joint_from: the first step in which the decoder is given what the student's flow makes, and the flow learns from
        the waveform too; before it, the decoder is given the teacher's latents.
    latents_weight: of the mean squared distance of the latents that the student's flow gives from the teacher's.
    text_weight: of the distances of what the student's text encoder gives from what the teacher's does.
    """

    parts: tuple[str, ...] = field(
        default=(DECODER,),
        validator=[validators.min_len(1), validators.deep_iterable(validators.in_(PARTS))],
    )
    joint_from: int = field(default=5000, validator=validators.ge(0))
    latents_weight: float = field(default=15.0, validator=_weight)
    text_weight: float = field(default=1.0, validator=_weight)
