"""The JSON file of an exported voice: Piper's settings, and the complete description of the voice.

Piper adds a start symbol, a blank after it and after each phoneme, and an end symbol. For a voice that was
trained without one of these symbols, the file has no id for it, so Piper does not add it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from allophone.audio.melspec import MelSpec
from allophone.config.converting import structure, unstructure
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError, shown
from allophone.files.parsing import other_content
from allophone.foreign.settings import Settings, read_json
from allophone.registry import Registry, default_registry
from allophone.synthesis.description import About, VoiceDescription
from allophone.text.config import TextConfig
from allophone.text.symbols import BLANK, BOS, EOS, SymbolTable

ENCODER = "encoder.onnx"
FLOW = "flow.onnx"
DECODER = "decoder.onnx"
SETTINGS = "config.json"
"""Files of a voice in three parts."""

WHOLE = "whole.onnx"
CONTEXT = "context.onnx"
PRIOR = "prior.onnx"
INDEX = "index.json"
"""Files in the user's cache: a voice in one graph, the two graphs of a rewritten encoder, and the positions of weights."""

PARTS = "parts"
"""The key of `PartsSettings`, only for a voice in three parts."""

OURS = "allophone"
"""The key that only Allophone reads: `voice`, a `VoiceDescription` without its model, and `vocabulary`."""

PIPER_CONTROLS: Mapping[str, str] = {
    "noise_scale": "noise_scale",
    "length_scale": "length_scale",
    "noise_w": "noise_scale_duration",
}
"""Maps Piper's names of controls to ours."""

_LARGEST_HOP = 1_000_000
_HIGHEST_RATE = 10_000_000
_MOST_SPEAKERS = 1_000_000
"""Limits of what a voice can have, so that a damaged file is not taken for a huge voice."""

_log = logging.getLogger(__name__)


@frozen(kw_only=True)
class PartsSettings:
    """Settings of a voice in three graphs.

    decoder_margin: context of the decoder in frames, on each side.
    flow_margin: context of the flow in frames, on each side; None if it needs the whole utterance.
    duration_channels: channels of the duration predictor's noise; 0 if it takes none.
    """

    decoder_margin: int
    flow_margin: int | None
    duration_channels: int


@frozen(kw_only=True)
class VoiceSettings:
    """The contents of the JSON file of an exported voice or of a Piper checkpoint.

    hop_length: None if the file does not have it; mel, about: only in files written by Allophone.
    """

    sample_rate: int
    hop_length: int | None
    text: TextConfig
    vocabulary: Vocabulary
    controls: Mapping[str, float]
    mel: MelSpec | None = None
    about: About | None = None

    def audio(self, *, hop_length: int) -> MelSpec:
        """The MelSpec. Piper trains on VITS's spectrogram, and its files have only the sample rate."""
        if self.mel is not None:
            return self.mel
        window = 4 * hop_length
        return MelSpec(
            sample_rate=self.sample_rate,
            n_fft=window,
            win_length=window,
            hop_length=hop_length,
        )


def settings_beside(model: Path) -> Path:
    """The path of the JSON file of an ONNX file."""
    return model.with_name(f"{model.name}.json")


def read_settings(path: Path, registry: Registry | None = None) -> VoiceSettings:
    """Read the JSON file of a voice; UserError if it or an entry is missing or unknown."""
    if not path.is_file():
        raise UserError(
            f"{path} is missing.",
            hint="A Piper voice is two files: the model, and a JSON file with its phoneme ids.",
        )
    registry = registry or default_registry()
    content = read_json(path)
    with other_content(
        f"{path} is not the JSON file of a voice", hint="Copy both files of the voice again."
    ):
        return _our_settings(content, registry) if OURS in content else _piper(content, registry)


def _piper(content: Settings, registry: Registry) -> VoiceSettings:
    """Settings from Piper's own file."""
    hop_length = content.get("hop_length")
    return VoiceSettings(
        hop_length=None if hop_length is None else _whole(content, "hop_length", 1, _LARGEST_HOP),
        sample_rate=_whole(content, "audio.sample_rate", 1, _HIGHEST_RATE),
        text=_text(content, registry),
        vocabulary=Vocabulary(
            symbols=_symbols(content["phoneme_id_map"], content.path), speakers=_speakers(content)
        ),
        controls=_controls(content.get("inference", {})),
    )


def write_settings(
    description: VoiceDescription, vocabulary: Vocabulary, controls: Any, registry: Registry
) -> dict[str, Any]:
    """The content of the JSON file of a voice. controls: the voice's defaults."""
    text = description.text
    phonemizer = registry.entry_of("phonemizers", text.phonemizer).name
    for reason in _what_piper_cannot(text, phonemizer, vocabulary.symbols):
        _log.warning(
            "Piper's programs cannot process texts as '%s' was trained: %s. `allophone say` can.",
            description.about.name,
            reason,
        )
    chosen = {ours: getattr(controls, ours) for ours in PIPER_CONTROLS.values()}
    exported = evolve(description, model=None, controls=chosen)
    return {
        "audio": {"sample_rate": description.audio.sample_rate},
        "espeak": {"voice": text.language},
        "phoneme_type": "text" if phonemizer == "graphemes" else "espeak",
        "phoneme_id_map": _piper_ids(vocabulary.symbols),
        "num_symbols": vocabulary.symbols.size,
        "num_speakers": max(len(vocabulary.speakers), 1),
        "speaker_id_map": {name: id for id, name in enumerate(vocabulary.speakers)},
        "inference": {name: chosen[ours] for name, ours in PIPER_CONTROLS.items()},
        "hop_length": description.audio.hop_length,
        OURS: {
            "voice": unstructure(exported, registry=registry),
            "vocabulary": json.loads(vocabulary.to_json()),
        },
    }


def _our_settings(content: Settings, registry: Registry) -> VoiceSettings:
    """Settings from a file written by `write_settings`."""
    ours = content.table(OURS)
    voice = structure(
        VoiceDescription, ours["voice"], where=f"{content.path}, {OURS}.voice", registry=registry
    )
    return VoiceSettings(
        sample_rate=voice.audio.sample_rate,
        hop_length=voice.audio.hop_length,
        text=voice.text,
        vocabulary=Vocabulary.from_json(json.dumps(ours["vocabulary"])),
        controls=voice.controls,
        mel=voice.audio,
        about=voice.about,
    )


def _whole(content: Settings, name: str, least: int, most: int) -> int:
    value = content[name]
    if type(value) is not int or not least <= value <= most:
        raise UserError(
            f"{content.path}: {name} must be a whole number from {least} to {most:,}, not {shown(value)}"
        )
    return value


def _text(content: Settings, registry: Registry) -> TextConfig:
    kind = content.get("phoneme_type", "espeak")
    if kind not in ("espeak", "text"):
        raise UserError(
            f"{content.path}: phoneme_type '{kind}' is not supported; it must be 'espeak' or 'text'."
        )
    phonemizer = registry.load(
        "phonemizers", "espeak" if kind == "espeak" else "graphemes", "config"
    )
    language = content["espeak.voice"]
    if not isinstance(language, str):
        raise UserError(f"{content.path}: espeak.voice must be a language, not {shown(language)}")
    return TextConfig(language=language, phonemizer=phonemizer(), blank=True, boundaries=True)


def _symbols(phoneme_ids: Mapping[str, list[int]], path: Path) -> SymbolTable:
    several = [symbol for symbol, ids in phoneme_ids.items() if len(ids) != 1]
    if several:
        raise UserError(
            f"{path} must have one id per phoneme, but has several for: "
            f"{', '.join(map(repr, several))}"
        )
    try:
        ids = {symbol: ids[0] for symbol, ids in phoneme_ids.items()}
        return SymbolTable(ids=ids, blank=BLANK, bos=BOS, eos=EOS)
    except UserError as error:
        raise UserError(f"{path}, phoneme_id_map: {error.message}", hint=error.hint) from error


def _speakers(content: Settings) -> tuple[str, ...]:
    """Speaker names in the order of ids; speakers without a name get their number."""
    names = {id: name for name, id in content.get("speaker_id_map", {}).items()}
    count = _whole(content, "num_speakers", 0, _MOST_SPEAKERS) if "num_speakers" in content else 1
    return tuple(names.get(id, str(id)) for id in range(count)) if count > 1 else ()


def _controls(inference: Mapping[str, float]) -> dict[str, float]:
    return {
        ours: float(inference[name]) for name, ours in PIPER_CONTROLS.items() if name in inference
    }


def _piper_ids(table: SymbolTable) -> dict[str, list[int]]:
    roles = {BLANK: table.blank, BOS: table.bos, EOS: table.eos}
    ids = {symbol: [id] for symbol, id in table.ids.items() if symbol not in roles.values()}
    return ids | {
        name: [] if symbol is None else [table.ids[symbol]] for name, symbol in roles.items()
    }


def _what_piper_cannot(text: TextConfig, phonemizer: str, table: SymbolTable) -> Iterator[str]:
    if phonemizer not in ("espeak", "graphemes"):
        yield f"its phonemizer is '{phonemizer}'"
    if text.phones or text.edges is not None:
        yield "its symbols are phones of corpus labels"
    roles = {BLANK: table.blank, BOS: table.bos, EOS: table.eos}
    for name, symbol in roles.items():
        if name in table.ids and symbol != name:
            yield f"its texts use the symbol '{name}', which Piper reserves"
