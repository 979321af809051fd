"""Experiments of Amphion's VITS recipe: `args.json`, `symbols.dict`, and weights as accelerate saves
them.

Its model is the reference's, but its symbols are whole phones without stress, between marks of words
and syllables, which no phonemizer here makes. The voice says what is written in them inside [[ ]],
and is there to be fine-tuned and to convert recordings.
"""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from allophone.data.vocabulary import Vocabulary
from allophone.foreign.amphion import (
    PAD,
    audio_of,
    find_file,
    find_weights,
    peek_arguments,
    read_arguments,
    read_symbols,
)
from allophone.foreign.files import read_module
from allophone.foreign.settings import Settings, read_json
from allophone.text.config import GraphemeConfig, TextConfig
from allophone.text.symbols import SymbolTable
from allophone_vits.importers.checkpoint import ReferenceCheckpoint, write_checkpoint


def recognises(source: Path) -> bool:
    """Whether `source` is the folder of a VITS experiment, or one of its checkpoints."""
    return peek_arguments(source).get("model_type") == "VITS"


def import_checkpoint(source: Path, destination: Path) -> None:
    """Write the voice folder of a checkpoint, or of the latest one of an experiment."""
    arguments = read_arguments(source)
    preprocess, model = arguments.table("preprocess"), arguments.table("model")
    speakers = _speakers(arguments)
    weights = find_weights(source)
    # Accelerate numbers the models of an experiment from the second on.
    discriminator = weights.with_stem(f"{weights.stem}_1")
    generator = read_module(weights)
    if len(speakers) < 2:
        # A model of one speaker is given layers for an embedding that it does not have.
        generator = {
            name: tensor
            for name, tensor in generator.items()
            if ".cond." not in name and ".cond_layer." not in name and name != "emb_g.weight"
        }
    blank = bool(preprocess.get("add_blank", True))
    checkpoint = ReferenceCheckpoint(
        generator=generator,
        discriminator=read_module(discriminator) if discriminator.is_file() else None,
        upsample_rates=model["upsample_rates"],
        residual_dilations=model["resblock_dilation_sizes"],
        audio=audio_of(arguments, magnitude_epsilon=1e-6),
        text=TextConfig(
            language=preprocess.get("language", "en-us"),
            normalize=False,
            phonemizer=GraphemeConfig(lowercase=False),
            blank=blank,
            boundaries=True,
        ),
        vocabulary=Vocabulary(symbols=_symbols(source, blank=blank), speakers=speakers),
    )
    write_checkpoint(destination, checkpoint, name=arguments.path.parent.name)


def _symbols(source: Path, *, blank: bool) -> SymbolTable:
    hint = (
        "It is written by Amphion's preprocessing for every phone extractor but 'lexicon'; "
        "models of that one are not read."
    )
    table = read_symbols(find_file(source, "symbols.dict", hint=hint))
    return evolve(table, blank=PAD if blank else None)


def _speakers(arguments: Settings) -> tuple[str, ...]:
    """Names in the order of ids, filled up with numbers where the model has room for more."""
    count = arguments.get("model.n_speakers", 0)
    path = arguments.path.parent / arguments.get("preprocess.spk2id", "spk2id.json")
    if not arguments.get("train.multi_speaker_training") or count < 2:
        return ()
    ids = read_json(path).content if path.is_file() else {}
    names = {id: name for name, id in ids.items()}
    return tuple(names.get(id, str(id)) for id in range(count))
