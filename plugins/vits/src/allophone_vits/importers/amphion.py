"""Experiments of Amphion's VITS recipe: `args.json`, `symbols.dict`, and weights as accelerate saves
them.

Its model is the reference's, but its symbols are whole phones without stress, between marks of words
and syllables, which no phonemizer here makes. The voice says what is written in them inside [[ ]],
and is there to be fine-tuned and to convert recordings.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.foreign.files import Settings, peek_json, read_json, read_module
from allophone.text.config import GraphemeConfig, TextConfig
from allophone.text.symbols import SymbolTable
from allophone_vits.importers.checkpoint import ReferenceCheckpoint, write_checkpoint

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
_GENERATOR = ("pytorch_model.bin", "model.safetensors")
_DISCRIMINATOR = ("pytorch_model_1.bin", "model_1.safetensors")


def recognises(source: Path) -> bool:
    """Whether `source` is the folder of a VITS experiment, or one of its checkpoints."""
    experiment = _experiment_of(source)
    return (
        experiment is not None and peek_json(experiment / "args.json").get("model_type") == "VITS"
    )


def import_checkpoint(source: Path, destination: Path) -> None:
    """Write the voice folder of a checkpoint, or of the latest one of an experiment."""
    experiment = _experiment_of(source)
    if experiment is None:
        raise UserError(
            f"{source} is no experiment of Amphion, nor a checkpoint of one.",
            hint="An experiment has args.json, and its checkpoints in the folder 'checkpoint'.",
        )
    folder = _latest(experiment) if source == experiment else source
    checkpoint = _assemble(read_json(experiment / "args.json"), experiment, folder)
    write_checkpoint(destination, checkpoint, name=experiment.name)


def _experiment_of(source: Path) -> Path | None:
    """The folder with args.json: `source` itself, or two above a checkpoint's own folder."""
    if not source.is_dir():
        return None
    above = (source, *source.resolve().parents[:2])
    return next((folder for folder in above if (folder / "args.json").is_file()), None)


def _latest(experiment: Path) -> Path:
    folders = [path for path in (experiment / "checkpoint").glob("*") if path.is_dir()]
    if not folders:
        raise UserError(f"There is no checkpoint in {experiment / 'checkpoint'}.")
    return max(folders, key=lambda path: path.stat().st_mtime)


def _assemble(arguments: Settings, experiment: Path, folder: Path) -> ReferenceCheckpoint:
    preprocess, model = arguments.table("preprocess"), arguments.table("model")
    speakers = _speakers(arguments, experiment)
    generator = _read(folder, _GENERATOR)
    if generator is None:
        raise UserError(f"There is neither {' nor '.join(_GENERATOR)} in {folder}.")
    if len(speakers) < 2:
        # A model of one speaker is given layers for an embedding that it does not have.
        generator = {
            name: tensor
            for name, tensor in generator.items()
            if ".cond." not in name and ".cond_layer." not in name and name != "emb_g.weight"
        }
    blank = bool(preprocess.get("add_blank", True))
    return ReferenceCheckpoint(
        generator=generator,
        discriminator=_read(folder, _DISCRIMINATOR),
        upsample_rates=model["upsample_rates"],
        residual_dilations=model["resblock_dilation_sizes"],
        audio=MelSpec(
            sample_rate=preprocess["sample_rate"],
            n_fft=preprocess["n_fft"],
            win_length=preprocess["win_size"],
            hop_length=preprocess["hop_size"],
            n_mels=preprocess["n_mel"],
            f_min=float(preprocess["fmin"]),
            f_max=preprocess.optional_float("fmax"),
        ),
        text=TextConfig(
            language=preprocess.get("language", "en-us"),
            normalize=False,
            phonemizer=GraphemeConfig(lowercase=False),
            blank=blank,
            boundaries=True,
        ),
        vocabulary=Vocabulary(symbols=_symbols(experiment, blank=blank), speakers=speakers),
    )


def _read(folder: Path, names: tuple[str, ...]) -> dict[str, Tensor] | None:
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    return None if path is None else read_module(path)


def _symbols(experiment: Path, *, blank: bool) -> SymbolTable:
    """Ids are places in the sorted list of the file's symbols, after three special ones."""
    path = experiment / "symbols.dict"
    if not path.is_file():
        raise UserError(
            f"{path} is missing.",
            hint="It is written by Amphion's preprocessing for every phone extractor but 'lexicon'; "
            "models of that one are not read.",
        )
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    listed = [PAD, BOS, EOS, *sorted({"<eps>", *(line[0] for line in lines if line)})]
    ids = {symbol: id for id, symbol in enumerate(listed)}
    return SymbolTable(ids=ids, blank=PAD if blank else None, bos=BOS, eos=EOS)


def _speakers(arguments: Settings, experiment: Path) -> tuple[str, ...]:
    """Names in the order of ids, filled up with numbers where the model has room for more."""
    count = arguments.get("model.n_speakers", 0)
    path = experiment / arguments.get("preprocess.spk2id", "spk2id.json")
    if not arguments.get("train.multi_speaker_training") or count < 2:
        return ()
    ids = read_json(path).content if path.is_file() else {}
    names = {id: name for name, id in ids.items()}
    return tuple(names.get(id, str(id)) for id in range(count))
