"""From a model as the reference implementation stores it to a voice: sizes, weights, statistics.

Sizes are read off the shapes of tensors; what is here makes sure that every tensor has its place and
every place its tensor.
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
from allophone.foreign.tensors import Shapes, place
from allophone.inference.folder import StoredVoice, write_voice
from allophone.synthesis.description import About, VoiceDescription
from allophone.text.config import TextConfig
from allophone.weights import add_prefix, skip_init
from allophone_fastspeech2.config import (
    DecoderConfig,
    EncoderConfig,
    FastSpeech2Config,
    PostnetConfig,
    PredictorConfig,
    VarianceConfig,
)
from allophone_fastspeech2.importers.names import BINS, COMPUTED, reference_name
from allophone_fastspeech2.importers.phones import symbol_table
from allophone_fastspeech2.model import FastSpeech2
from allophone_fastspeech2.statistics import Statistics

Tensors = Mapping[str, Tensor]
Level = Literal["phoneme", "frame"]

_log = logging.getLogger(__name__)

MAGNITUDE_EPSILON = 1e-9
"""By which the mels of the reference are described as HiFi-GAN's.

It takes them of centred frames and of plain magnitudes, and hands them to HiFi-GANs that were trained on
frames which begin half a hop later, of magnitudes with this under the root. Rightly so: a vocoder
cannot tell where the first frame was, and the epsilon all but vanishes below the floor of the logarithm.
"""

_EMBEDDING = "encoder.src_word_emb.weight"
_SPEAKERS = "speaker_emb.weight"
_UNSTATED = (
    "The mean and deviation of its {} are not known: factors on it are factors on normalised values, "
    "and recordings cannot be said again with their own."
)


@frozen(kw_only=True)
class Distribution:
    """mean, deviation: of physical values (Hz, magnitudes); minimum, maximum: of normalised ones."""

    mean: float
    deviation: float
    minimum: float
    maximum: float


@frozen(kw_only=True)
class ReferenceCheckpoint:
    """A model of the reference's architecture, and what its tensors do not tell.

    tensors: under the reference's names.
    settings: of the model, with the tables "transformer" and "variance_predictor".
    levels, distributions: of "pitch" and "energy"; a distribution may be unknown.
    speakers: ids by name; those without a name are called by their number.
    """

    name: str
    tensors: Tensors
    settings: Settings
    levels: Mapping[str, Level]
    distributions: Mapping[str, Distribution | None]
    audio: MelSpec
    text: TextConfig
    speakers: Mapping[str, int]


def write_checkpoint(destination: Path, checkpoint: ReferenceCheckpoint) -> None:
    """Write the voice folder of a checkpoint.

    Raises UserError that names every tensor without a place, and every place without a tensor.
    """
    unstated = [
        _UNSTATED.format(name)
        for name, distribution in checkpoint.distributions.items()
        if distribution is None
    ]
    for sentence in unstated:
        _log.warning("%s: %s", checkpoint.name, sentence)
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
        about=About(name=checkpoint.name, licence="not stated", summary=" ".join(unstated)),
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
    """Names in the order of ids."""
    if _SPEAKERS not in checkpoint.tensors:
        return ()
    names = {id: name for name, id in checkpoint.speakers.items()}
    return tuple(names.get(id, str(id)) for id in range(len(checkpoint.tensors[_SPEAKERS])))


def _weights(
    checkpoint: ReferenceCheckpoint, model: FastSpeech2, vocabulary_size: int
) -> dict[str, Tensor]:
    """The state of the model: what the reference has under other names, and statistics."""
    wanted = {
        name: tensor for name, tensor in model.state_dict().items() if ".statistics." not in name
    }
    for name, variance in model.variance_adaptor.variances():
        wanted[BINS.format(name)] = torch.empty(variance.embedding.num_embeddings - 1)
    given = {name: tensor for name, tensor in checkpoint.tensors.items() if name not in COMPUTED}
    given[_EMBEDDING] = given[_EMBEDDING][:vocabulary_size]
    weights = place(given, wanted, reference_name)
    for name, known in checkpoint.distributions.items():
        statistics = _statistics(name, weights.pop(BINS.format(name)), known)
        weights |= add_prefix(statistics.state_dict(), f"variance_adaptor.{name}.statistics")
    return weights


def _statistics(name: str, bins: Tensor, known: Distribution | None) -> Statistics:
    """What the boundaries of the bins and a corpus's statistics tell; they must agree."""
    low, high = float(bins[0]), float(bins[-1])
    even = torch.linspace(low, high, len(bins))
    if not torch.allclose(bins, even, rtol=0, atol=1e-3 * (high - low) / len(bins)):
        raise UserError(
            f"The bins of {name} lie on a logarithmic scale, and such models are not read.",
            hint=f"Train with {name}_quantization: linear, or with Allophone's own recipe.",
        )
    if known is not None:
        for stated, there in ((known.minimum, low), (known.maximum, high)):
            if abs(stated - there) > 1e-3 * (high - low):
                raise UserError(
                    f"The statistics of {name} tell of values from {known.minimum:.4g} to "
                    f"{known.maximum:.4g}, but the bins of the model go from {low:.4g} to {high:.4g}.",
                    hint="They are those of another corpus. Put those that it was trained with there.",
                )
    statistics = Statistics(log=False)
    values = {"minimum": low, "maximum": high}
    if known is not None:
        values |= {"mean": known.mean, "deviation": known.deviation}
    for part, value in values.items():
        getattr(statistics, part).fill_(value)
    return statistics
