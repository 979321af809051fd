"""Checkpoints of the reference implementation: `G_<step>.pth`, `D_<step>.pth` and `config.json`.

The symbols are not part of its files but of its code. Where config.json has a list `symbols`, as forks
write it, they are taken from there; otherwise they must be those of the published models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.foreign.files import read_module
from allophone.foreign.settings import Settings, peek_json, read_json
from allophone.registry import default_registry
from allophone.text.config import GraphemeConfig, TextConfig
from allophone.text.symbols import SymbolTable
from allophone_vits.importers.checkpoint import ReferenceCheckpoint, write_checkpoint
from allophone_vits.importers.reference import EMBEDDING

PUBLISHED_SYMBOLS = (
    "_",
    *';:,.!?¡¿—…"«»“” ',
    *"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    *"ɑɐɒæɓʙβɔɕçɗɖðʤəɘɚɛɜɝɞɟʄɡɠɢʛɦɧħɥʜɨɪʝɭɬɫɮʟɱɯɰŋɳɲɴøɵɸθœɶʘɹɺɾɻʀʁɽʂʃʈʧʉʊʋⱱʌɣɤʍχʎʏʑʐʒʔʡʕʢǀǁǂǃ",
    *"ˈˌːˑʼʴʰʱʲʷˠˤ˞↓↑→↗↘'̩'ᵻ",
)
"""The symbols of the published models in the order of their ids."""


OTHER_MODELS = ("model.use_mel_posterior_encoder", "model.use_transformer_flows")
"""Settings of forks that train other models, and name their files as the reference does."""


@frozen(kw_only=True)
class CheckpointFiles:
    """A generator's checkpoint, and the configuration that it was trained with."""

    generator: Path
    config: Settings

    def beside(self, prefix: str) -> dict[str, Tensor] | None:
        """The weights of another network of the same step, such as `D_<step>.pth`; None without."""
        path = self.generator.with_name(re.sub(r"^G_", prefix, self.generator.name))
        found = path != self.generator and path.is_file()
        return read_module(path, "model") if found else None


def recognises(source: Path) -> bool:
    """Whether `source` is a generator's checkpoint, or a folder with some."""
    config = peek_config(source)
    known = "data" in config and "model" in config
    return known and not any(setting in config for setting in OTHER_MODELS)


def peek_config(source: Path) -> Settings:
    """What config.json says of a generator's checkpoint, or of a folder with some; empty for others."""
    if source.is_dir():
        path = source / "config.json" if any(source.glob("G_*.pth")) else None
    else:
        path = _config_of(source) if source.suffix == ".pth" else None
    return peek_json(path)


def import_checkpoint(source: Path, destination: Path) -> None:
    """Write the voice folder of a checkpoint, or of the latest one in a folder."""
    write_checkpoint(destination, assemble(find_files(source)), name=source.stem)


def find_files(source: Path) -> CheckpointFiles:
    """A checkpoint, or the latest one in a folder; UserError where something is missing."""
    generator = _latest(source) if source.is_dir() else source
    path = _config_of(generator)
    if path is None:
        raise UserError(
            f"{generator} has no config.json beside it.",
            hint="Copy there the configuration that it was trained with.",
        )
    return CheckpointFiles(generator=generator, config=read_json(path))


def _latest(folder: Path) -> Path:
    def step(path: Path) -> int:
        digits = re.sub(r"\D", "", path.stem)
        return int(digits) if digits else -1

    found = sorted(folder.glob("G_*.pth"), key=step)
    if not found:
        raise UserError(f"There is no G_<step>.pth in {folder}.")
    return found[-1]


def _config_of(checkpoint: Path) -> Path | None:
    places = (checkpoint.with_suffix(".json"), checkpoint.with_name("config.json"))
    return next((place for place in places if place.is_file()), None)


def assemble(files: CheckpointFiles) -> ReferenceCheckpoint:
    """Read all that belongs to a checkpoint."""
    config, generator = files.config, read_module(files.generator, "model")
    if EMBEDDING not in generator:
        raise UserError(
            f"The checkpoint beside {config.path} holds no generator: it has no {EMBEDDING}."
        )
    return ReferenceCheckpoint(
        generator=generator,
        discriminator=files.beside("D_"),
        upsample_rates=config["model.upsample_rates"],
        residual_dilations=config["model.resblock_dilation_sizes"],
        audio=_audio(config.table("data")),
        text=_text(config.table("data")),
        vocabulary=Vocabulary(
            symbols=_symbols(config, len(generator[EMBEDDING])), speakers=_speakers(config)
        ),
    )


def _audio(data: Settings) -> MelSpec:
    return MelSpec(
        sample_rate=data["sampling_rate"],
        n_fft=data["filter_length"],
        win_length=data["win_length"],
        hop_length=data["hop_length"],
        n_mels=data["n_mel_channels"],
        f_min=float(data["mel_fmin"]),
        f_max=data.optional_float("mel_fmax"),
    )


def _text(data: Settings) -> TextConfig:
    """The published cleaner is espeak's American English; others are not known here.

    A fork's third English cleaner phonemizes as the published one. For others, texts are taken letter by
    letter: they have to be given as the cleaner leaves them.
    """
    published = list(data["text_cleaners"]) in (["english_cleaners2"], ["english_cleaners3"])
    phonemizer = (
        default_registry().load("phonemizers", "espeak", "config")()
        if published
        else GraphemeConfig(lowercase=False)
    )
    return TextConfig(
        language="en-us", normalize=published, phonemizer=phonemizer, blank=data["add_blank"]
    )


def _symbols(config: Settings, rows: int) -> SymbolTable:
    symbols = config.get("symbols", PUBLISHED_SYMBOLS)
    if len(symbols) != rows:
        raise UserError(
            f"The model has {rows} symbols, not the {len(symbols)} that are known of it.",
            hint=f"Add to {config.path} a list 'symbols' in the order of their ids, the padding first.",
        )
    # Of a symbol that is listed twice, the reference uses the later id.
    ids = {symbol: id for id, symbol in enumerate(symbols)}
    return SymbolTable(ids=ids, blank=symbols[0] if config["data.add_blank"] else None)


def _speakers(config: Settings) -> tuple[str, ...]:
    count = config.get("data.n_speakers", 0)
    names = config.get("speakers", ())
    if isinstance(names, Mapping):
        names = sorted(names, key=lambda name: names[name])
    if count < 2:
        return ()
    return tuple(names) if len(names) == count else tuple(str(id) for id in range(count))
