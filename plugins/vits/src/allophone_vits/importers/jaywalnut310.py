"""Importer of the reference implementation: `G_<step>.pth`, `D_<step>.pth` and `config.json`.

Its symbols are defined in its code, not in these files. They are read from a list `symbols` in
config.json, which some forks write; otherwise the checkpoint must use those of the published models.
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
from allophone.foreign.files import read_state_dict
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

FORK_SETTINGS = ("model.use_mel_posterior_encoder", "model.use_transformer_flows")
"""Settings of forks that train other models but use the same file names."""


@frozen(kw_only=True)
class CheckpointFiles:
    """A generator's checkpoint and its training configuration."""

    generator: Path
    config: Settings

    def read_companion(self, prefix: str) -> dict[str, Tensor] | None:
        """Read another network of the same step, such as `D_<step>.pth`; None if there is no file."""
        path = self.generator.with_name(re.sub(r"^G_", prefix, self.generator.name))
        found = path != self.generator and path.is_file()
        return read_state_dict(path, "model") if found else None


def recognises(source: Path) -> bool:
    """Whether `source` is a generator's checkpoint or a folder with such checkpoints."""
    config = peek_config(source)
    known = "data" in config and "model" in config
    return known and not any(setting in config for setting in FORK_SETTINGS)


def peek_config(source: Path) -> Settings:
    """Read config.json of a generator's checkpoint, or of a folder with such; empty for other files."""
    if source.is_dir():
        path = source / "config.json" if any(source.glob("G_*.pth")) else None
    else:
        path = _config_of(source) if source.suffix == ".pth" else None
    return peek_json(path)


def import_checkpoint(source: Path, destination: Path) -> None:
    """Convert a checkpoint, or the latest checkpoint in a folder, to a voice folder."""
    write_checkpoint(destination, read_checkpoint(find_files(source)), name=source.stem)


def find_files(source: Path) -> CheckpointFiles:
    """Find a checkpoint, or the latest in a folder, and its config.json; UserError if one is missing."""
    generator = _latest(source) if source.is_dir() else source
    path = _config_of(generator)
    if path is None:
        raise UserError(
            f"No config.json next to {generator}.",
            hint="Copy the configuration that the model was trained with to that folder.",
        )
    return CheckpointFiles(generator=generator, config=read_json(path))


def _latest(folder: Path) -> Path:
    def step(path: Path) -> int:
        digits = re.sub(r"\D", "", path.stem)
        return int(digits) if digits else -1

    found = sorted(folder.glob("G_*.pth"), key=step)
    if not found:
        raise UserError(f"No checkpoint G_<step>.pth in {folder}.")
    return found[-1]


def _config_of(checkpoint: Path) -> Path | None:
    candidates = (checkpoint.with_suffix(".json"), checkpoint.with_name("config.json"))
    return next((path for path in candidates if path.is_file()), None)


def read_checkpoint(files: CheckpointFiles) -> ReferenceCheckpoint:
    """Read the weights and settings of a checkpoint; UserError if it holds no generator."""
    config, generator = files.config, read_state_dict(files.generator, "model")
    if EMBEDDING not in generator:
        raise UserError(
            f"{files.generator} does not contain a generator: the weight {EMBEDDING} is missing."
        )
    return ReferenceCheckpoint(
        generator=generator,
        discriminator=files.read_companion("D_"),
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
    """Map the text cleaner to a front end.

    The published `english_cleaners2` phonemizes with espeak (American English), as does the
    `english_cleaners3` of a fork. For any other cleaner the voice reads text symbol by symbol, so the
    text must already be in the form that the cleaner returns.
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
            f"The model has {rows} symbols, but {len(symbols)} are known.",
            hint=f"Add a list 'symbols' to {config.path}, in the order of their ids, with padding first.",
        )
    # The reference uses the last id of a symbol that is listed twice.
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
