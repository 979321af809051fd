"""Importer of Amphion's VITS experiments: `args.json`, `symbols.dict` and weights saved by accelerate.

The model is that of the reference implementation. The symbols are phones without stress, with word and
syllable boundaries; no phonemizer of Allophone produces them. The imported voice reads phones written in
[[ ]], and can be fine-tuned and used for voice conversion.
"""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from allophone.data.vocabulary import Vocabulary
from allophone.foreign.amphion import (
    PAD,
    find_file,
    find_weights,
    mel_spec,
    peek_arguments,
    read_arguments,
    read_symbols,
)
from allophone.foreign.files import read_state_dict
from allophone.foreign.settings import Settings, read_json
from allophone.text.config import GraphemeConfig, TextConfig
from allophone.text.symbols import SymbolTable
from allophone_vits.importers.checkpoint import ReferenceCheckpoint, write_checkpoint


def recognises(source: Path) -> bool:
    """Whether `source` is the folder or a checkpoint of a VITS experiment."""
    return peek_arguments(source).get("model_type") == "VITS"


def import_checkpoint(source: Path, destination: Path) -> None:
    """Convert a checkpoint, or the latest checkpoint of an experiment, to a voice folder."""
    arguments = read_arguments(source)
    preprocess, model = arguments.table("preprocess"), arguments.table("model")
    speakers = _speakers(arguments)
    weights = find_weights(source)
    # Accelerate numbers the models of an experiment, starting with the second.
    discriminator = weights.with_stem(f"{weights.stem}_1")
    generator = read_state_dict(weights)
    if len(speakers) < 2:
        # Amphion builds the speaker conditioning of single-speaker models too, but never uses it.
        generator = {
            name: tensor
            for name, tensor in generator.items()
            if ".cond." not in name and ".cond_layer." not in name and name != "emb_g.weight"
        }
    blank = bool(preprocess.get("add_blank", True))
    checkpoint = ReferenceCheckpoint(
        generator=generator,
        discriminator=read_state_dict(discriminator) if discriminator.is_file() else None,
        upsample_rates=model["upsample_rates"],
        residual_dilations=model["resblock_dilation_sizes"],
        audio=mel_spec(arguments, magnitude_epsilon=1e-6),
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
        "Amphion's preprocessing writes it for every phone extractor except 'lexicon'; "
        "models trained with 'lexicon' cannot be imported."
    )
    table = read_symbols(find_file(source, "symbols.dict", hint=hint))
    return evolve(table, blank=PAD if blank else None)


def _speakers(arguments: Settings) -> tuple[str, ...]:
    """Speaker names in the order of their ids; ids without a name are named by number."""
    count = arguments.get("model.n_speakers", 0)
    path = arguments.path.parent / arguments.get("preprocess.spk2id", "spk2id.json")
    if not arguments.get("train.multi_speaker_training") or count < 2:
        return ()
    ids = read_json(path).content if path.is_file() else {}
    names = {id: name for name, id in ids.items()}
    return tuple(names.get(id, str(id)) for id in range(count))
