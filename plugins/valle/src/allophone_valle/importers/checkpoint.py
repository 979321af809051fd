"""Convert a checkpoint of the reference implementation to a voice.

Sizes are inferred from the shapes of tensors. Tensors and parameters must match one to one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.foreign.settings import Settings
from allophone.foreign.tensors import Shapes, convert_state_dict
from allophone.inference.folder import StoredVoice, write_voice
from allophone.synthesis.description import About, VoiceDescription
from allophone.text.symbols import SymbolTable
from allophone.weights.files import add_prefix
from allophone.weights.loading import skip_init
from allophone_valle.ar import ArModel
from allophone_valle.config import ArConfig, NarConfig, PromptMode, ValleConfig
from allophone_valle.importers.names import reference_name, stack_codebooks
from allophone_valle.importers.symbols import text_config
from allophone_valle.nar import NarModel

_PROMPTS: Mapping[int, PromptMode] = {0: "none", 1: "prefix", 2: "segment", 4: "neighbour"}
_EMBEDDINGS = ("ar_text_embedding", "nar_text_embedding")


@frozen(kw_only=True)
class ReferenceCheckpoint:
    """A checkpoint of the reference architecture, and settings that its tensors do not determine.

    tensors: under the reference's names. settings: `nhead`, `prefix_mode` and others.
    """

    name: str
    tensors: Mapping[str, Tensor]
    settings: Settings
    symbols: SymbolTable


def write_checkpoint(destination: Path, checkpoint: ReferenceCheckpoint) -> None:
    """Write the voice folder of a checkpoint.

    Raises UserError naming every missing or unexpected tensor, and if there are more symbols than the model
    has embeddings.
    """
    tensors = stack_codebooks(checkpoint.tensors)
    config = _config(checkpoint)
    size = checkpoint.symbols.size
    for name in (f"{embedding}.word_embeddings.weight" for embedding in _EMBEDDINGS):
        if len(tensors[name]) < size:
            raise UserError(
                f"The symbol table has {size} symbols, but the model only {len(tensors[name])}.",
                hint="Use the symbol table that the model was trained with.",
            )
        tensors[name] = tensors[name][:size]
    with skip_init():
        ar = ArModel(config.ar, vocabulary_size=size, bins=config.bins)
        nar = NarModel(
            config.nar, vocabulary_size=size, codebooks=config.codebooks, bins=config.bins
        )
    expected = add_prefix(ar.state_dict(), "ar") | add_prefix(nar.state_dict(), "nar")
    description = VoiceDescription(
        about=About(name=checkpoint.name, licence="not stated"),
        model=config,
        audio=MelSpec(sample_rate=24000, hop_length=320),
        text=text_config(checkpoint.symbols),
    )
    voice = StoredVoice(
        description=description,
        vocabulary=Vocabulary(symbols=checkpoint.symbols),
        weights=convert_state_dict(tensors, expected, reference_name),
    )
    write_voice(destination, voice)


def _config(checkpoint: ReferenceCheckpoint) -> ValleConfig:
    shape, settings = Shapes(checkpoint.tensors, "VALL-E"), checkpoint.settings
    if not settings.get("norm_first", True) or settings.get("add_prenet", False):
        raise UserError(
            "Models trained with norm_first = false or add_prenet = true are not supported."
        )
    mode = settings["prefix_mode"]
    if mode not in _PROMPTS:
        raise UserError(
            f"{settings.path}: unknown prefix_mode {mode!r}; supported: {list(_PROMPTS)}."
        )
    known, predicted = shape("ar_audio_embedding.word_embeddings")[0], shape("ar_predict_layer")[0]
    heads, factor = settings["nhead"], _scale_factor(settings)
    return ValleConfig(
        codebooks=shape.count(r"nar_audio_embeddings\.(\d+)\."),
        bins=predicted - 1,
        ar=ArConfig(**_transformer("ar", shape), heads=heads, begin_symbol=known > predicted),
        nar=NarConfig(
            **_transformer("nar", shape), heads=int(heads * factor), prompt=_PROMPTS[mode]
        ),
    )


def _scale_factor(settings: Settings) -> float:
    """Size of the NAR model relative to the AR model; the implementations use different names."""
    return float(settings.get("nar_scale_factor", settings.get("scale_factor", 1.0)))


def _transformer(name: str, shape: Shapes) -> dict[str, Any]:
    inner, channels = shape(f"{name}_decoder.layers.0.linear1")
    return {
        "channels": channels,
        "layers": shape.count(rf"{name}_decoder\.layers\.(\d+)\."),
        "feed_forward_channels": inner,
    }
