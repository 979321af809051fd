"""Convert a checkpoint of the reference implementation to a voice.

Sizes are inferred from the shapes of tensors. Tensors and parameters must match one to one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from attrs import frozen
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.foreign.settings import Settings
from allophone.foreign.tensors import Shapes, convert_state_dict
from allophone.inference.folder import StoredVoice, write_voice
from allophone.synthesis.description import About, VoiceDescription
from allophone.text.config import TextConfig
from allophone.weights.files import add_prefix
from allophone.weights.loading import skip_init
from allophone_fastspeech2.config import (
    DecoderConfig,
    EncoderConfig,
    FastSpeech2Config,
    PostnetConfig,
    PredictorConfig,
    VarianceConfig,
)
from allophone_fastspeech2.importers.names import BINS, POSITION_TABLES, reference_name
from allophone_fastspeech2.importers.phones import symbol_table
from allophone_fastspeech2.model import FastSpeech2
from allophone_fastspeech2.statistics import Statistics

Tensors = Mapping[str, Tensor]
Level = Literal["phoneme", "frame"]

_log = logging.getLogger(__name__)

MAGNITUDE_EPSILON = 1e-9
"""Epsilon of HiFi-GAN's mels, as which the mels of the reference are described.

The reference computes mels from centred frames without an epsilon, but uses HiFi-GAN vocoders trained on mels
with this epsilon whose frames start half a hop later. The difference does not matter: a vocoder is invariant to
the position of the first frame, and the epsilon is negligible compared to the floor of the logarithm.
"""

_EMBEDDING = "encoder.src_word_emb.weight"
_SPEAKERS = "speaker_emb.weight"
_UNKNOWN_STATISTICS = (
    "The mean and deviation of its {} are unknown: factors on it scale normalised values, and recordings "
    "cannot be reconstructed with their own."
)


@frozen(kw_only=True)
class VarianceStatistics:
    """mean, deviation: of physical values (Hz, magnitudes); minimum, maximum: of normalised values."""

    mean: float
    deviation: float
    minimum: float
    maximum: float


@frozen(kw_only=True)
class ReferenceCheckpoint:
    """A checkpoint of the reference architecture, and settings that its tensors do not determine.

    tensors: under the reference's names.
    settings: of the model, with the tables "transformer" and "variance_predictor".
    levels, statistics: of "pitch" and "energy"; statistics are None if unknown.
    speakers: ids by name; ids without a name are named by number.
    """

    name: str
    tensors: Tensors
    settings: Settings
    levels: Mapping[str, Level]
    statistics: Mapping[str, VarianceStatistics | None]
    audio: MelSpec
    text: TextConfig
    speakers: Mapping[str, int]


def write_checkpoint(destination: Path, checkpoint: ReferenceCheckpoint) -> None:
    """Write the voice folder of a checkpoint.

    Raises UserError naming every missing or unexpected tensor.
    """
    warnings = [
        _UNKNOWN_STATISTICS.format(name)
        for name, statistics in checkpoint.statistics.items()
        if statistics is None
    ]
    for warning in warnings:
        _log.warning("%s: %s", checkpoint.name, warning)
    config = _infer_config(checkpoint)
    symbols = symbol_table(len(checkpoint.tensors[_EMBEDDING]))
    speakers = _speakers(checkpoint)
    with skip_init():
        model = FastSpeech2(
            config,
            vocabulary_size=symbols.size,
            speakers=len(speakers),
            mels=checkpoint.audio.n_mels,
        )
    description = VoiceDescription(
        about=About(name=checkpoint.name, licence="not stated", summary=" ".join(warnings)),
        model=config,
        audio=checkpoint.audio,
        text=checkpoint.text,
    )
    voice = StoredVoice(
        description=description,
        vocabulary=Vocabulary(symbols=symbols, speakers=speakers),
        weights=_weights(checkpoint, model, symbols.size),
    )
    write_voice(destination, voice)


def _infer_config(checkpoint: ReferenceCheckpoint) -> FastSpeech2Config:
    shape = Shapes(checkpoint.tensors, "FastSpeech 2")
    settings = checkpoint.settings
    predictor = shape("variance_adaptor.duration_predictor.conv_layer.conv1d_1.conv")
    postnet = shape("postnet.convolutions.0.0.conv")
    return FastSpeech2Config(
        hidden_channels=shape("encoder.src_word_emb")[1],
        encoder=EncoderConfig(**_transformer("encoder", settings, shape)),
        decoder=DecoderConfig(**_transformer("decoder", settings, shape)),
        predictor=PredictorConfig(
            channels=predictor[0],
            kernel_size=predictor[2],
            dropout=settings["variance_predictor.dropout"],
        ),
        pitch=_variance("pitch", checkpoint, shape),
        energy=_variance("energy", checkpoint, shape),
        postnet=PostnetConfig(
            layers=shape.count(r"postnet\.convolutions\.(\d+)\."),
            channels=postnet[0],
            kernel_size=postnet[2],
        ),
        durations="stored",
    )


def _transformer(name: str, settings: Settings, shape: Shapes) -> dict[str, Any]:
    expand = shape(f"{name}.layer_stack.0.pos_ffn.w_1")
    contract = shape(f"{name}.layer_stack.0.pos_ffn.w_2")
    return {
        "layers": shape.count(rf"{name}\.layer_stack\.(\d+)\."),
        "heads": settings[f"transformer.{name}_head"],
        "feed_forward_channels": expand[0],
        "kernel_sizes": (expand[2], contract[2]),
        "dropout": settings[f"transformer.{name}_dropout"],
    }


def _variance(name: str, checkpoint: ReferenceCheckpoint, shape: Shapes) -> VarianceConfig:
    rows = shape(f"variance_adaptor.{name}_embedding")[0]
    return VarianceConfig(level=checkpoint.levels[name], bins=rows)


def _speakers(checkpoint: ReferenceCheckpoint) -> tuple[str, ...]:
    """Speaker names in the order of their ids."""
    if _SPEAKERS not in checkpoint.tensors:
        return ()
    names = {id: name for name, id in checkpoint.speakers.items()}
    return tuple(names.get(id, str(id)) for id in range(len(checkpoint.tensors[_SPEAKERS])))


def _weights(
    checkpoint: ReferenceCheckpoint, model: FastSpeech2, vocabulary_size: int
) -> dict[str, Tensor]:
    """Convert the tensors to the state of the model, including statistics."""
    expected = {
        name: tensor for name, tensor in model.state_dict().items() if ".statistics." not in name
    }
    for name, variance in model.variance_adaptor.variances():
        expected[BINS.format(name)] = torch.empty(variance.embedding.num_embeddings - 1)
    given = {
        name: tensor for name, tensor in checkpoint.tensors.items() if name not in POSITION_TABLES
    }
    given[_EMBEDDING] = given[_EMBEDDING][:vocabulary_size]
    weights = convert_state_dict(given, expected, reference_name)
    for name, known in checkpoint.statistics.items():
        statistics = _statistics(name, weights.pop(BINS.format(name)), known)
        weights |= add_prefix(statistics.state_dict(), f"variance_adaptor.{name}.statistics")
    return weights


def _statistics(name: str, bins: Tensor, known: VarianceStatistics | None) -> Statistics:
    """Build statistics from the bin boundaries and the corpus's statistics; UserError if they disagree."""
    low, high = float(bins[0]), float(bins[-1])
    even = torch.linspace(low, high, len(bins))
    if not torch.allclose(bins, even, rtol=0, atol=1e-3 * (high - low) / len(bins)):
        raise UserError(
            f"The bins of {name} are logarithmic, which is not supported.",
            hint=f"Train with {name}_quantization: linear, or with Allophone's recipe.",
        )
    if known is not None:
        for stated, found in ((known.minimum, low), (known.maximum, high)):
            if abs(stated - found) > 1e-3 * (high - low):
                raise UserError(
                    f"The statistics of {name} range from {known.minimum:.4g} to {known.maximum:.4g}, but "
                    f"the bins of the model range from {low:.4g} to {high:.4g}.",
                    hint="Use the statistics of the corpus that the model was trained on.",
                )
    statistics = Statistics(log=False)
    values = {"minimum": low, "maximum": high}
    if known is not None:
        values |= {"mean": known.mean, "deviation": known.deviation}
    for part, value in values.items():
        getattr(statistics, part).fill_(value)
    return statistics
