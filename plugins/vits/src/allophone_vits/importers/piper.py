"""Piper's voices and training checkpoints, as voice folders.

A Piper voice is `NAME.onnx` with `NAME.onnx.json`; a checkpoint is `NAME.ckpt` with a `config.json` of
the same content in its folder or the one above `lightning_logs`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from allophone.audio.melspec import MelSpec
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.synthesis.folder import About, StoredVoice, VoiceDescription, write_voice
from allophone.text.config import EspeakConfig, GraphemeConfig, TextConfig
from allophone.text.symbols import BLANK, BOS, EOS, SymbolTable
from allophone_vits.importers.piper_onnx import read_graph
from allophone_vits.importers.reference import generator_weights, infer_config, trim_vocabulary


def recognises_voice(source: Path) -> bool:
    """Whether `source` looks like a Piper voice."""
    return source.suffix == ".onnx" and _settings_of_voice(source).is_file()


def import_voice(source: Path, destination: Path) -> None:
    """Write the voice folder of a Piper voice: `source` is its ONNX file."""
    write_voice(destination, read_voice(source, About(name=source.stem, licence="not stated")))


def read_voice(source: Path, about: About) -> StoredVoice:
    """A Piper voice as one of ours; it lacks what only training and voice conversion use."""
    settings = read_settings(_settings_of_voice(source))
    graph = read_graph(source)
    config = infer_config(
        graph.tensors,
        upsample_rates=graph.upsample_rates,
        residual_dilations=graph.residual_dilations,
    )
    audio = settings.audio(hop_length=math.prod(graph.upsample_rates))
    symbols = settings.vocabulary.symbols
    weights = generator_weights(
        trim_vocabulary(graph.tensors, symbols.size),
        config,
        vocabulary_size=symbols.size,
        speakers=len(settings.vocabulary.speakers),
        audio=audio,
        inference_only=True,
    )
    return StoredVoice(
        description=VoiceDescription(
            about=about,
            model=config,
            audio=audio,
            text=settings.text,
            controls=settings.controls,
        ),
        vocabulary=settings.vocabulary,
        weights=weights,
    )


def _settings_of_voice(source: Path) -> Path:
    return source.with_name(f"{source.name}.json")


@frozen(kw_only=True)
class PiperSettings:
    """What the JSON file of a Piper voice or checkpoint says."""

    sample_rate: int
    text: TextConfig
    vocabulary: Vocabulary
    controls: Mapping[str, float]

    def audio(self, *, hop_length: int) -> MelSpec:
        """Piper trains on VITS's spectrogram; its files hold the sample rate alone."""
        window = 4 * hop_length
        return MelSpec(
            sample_rate=self.sample_rate,
            n_fft=window,
            win_length=window,
            hop_length=hop_length,
        )


def read_settings(path: Path) -> PiperSettings:
    """Read the JSON file of a Piper voice; UserError for what is missing or unknown."""
    if not path.is_file():
        raise UserError(
            f"{path} is missing.",
            hint="A Piper voice is two files: the model, and a JSON file with its phoneme ids.",
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return PiperSettings(
            sample_rate=content["audio"]["sample_rate"],
            text=_text(content, path),
            vocabulary=Vocabulary(
                symbols=_symbols(content["phoneme_id_map"], path), speakers=_speakers(content)
            ),
            controls=_controls(content.get("inference", {})),
        )
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error
    except KeyError as error:
        raise UserError(f"{path} belongs to no Piper voice: it has no key {error}.") from error


def _text(content: Mapping[str, Any], path: Path) -> TextConfig:
    kind = content.get("phoneme_type", "espeak")
    if kind not in ("espeak", "text"):
        raise UserError(
            f"{path}: the voice reads phonemes of the type '{kind}', which no phonemizer here makes."
        )
    return TextConfig(
        language=content["espeak"]["voice"],
        phonemizer=EspeakConfig() if kind == "espeak" else GraphemeConfig(lowercase=True),
        blank=True,
        boundaries=True,
    )


def _symbols(phoneme_ids: Mapping[str, list[int]], path: Path) -> SymbolTable:
    several = [symbol for symbol, ids in phoneme_ids.items() if len(ids) != 1]
    if several:
        raise UserError(f"{path} gives more than one id to: {', '.join(map(repr, several))}")
    ids = {symbol: ids[0] for symbol, ids in phoneme_ids.items()}
    return SymbolTable(ids=ids, blank=BLANK, bos=BOS, eos=EOS)


def _speakers(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Names in the order of ids; a number stands for a speaker without a name."""
    names = {id: name for name, id in content.get("speaker_id_map", {}).items()}
    count = content.get("num_speakers", 1)
    return tuple(names.get(id, str(id)) for id in range(count)) if count > 1 else ()


def _controls(inference: Mapping[str, float]) -> dict[str, float]:
    names = {
        "noise_scale": "noise_scale",
        "length_scale": "length_scale",
        "noise_w": "noise_scale_duration",
    }
    return {ours: float(inference[name]) for name, ours in names.items() if name in inference}
