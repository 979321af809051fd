"""The JSON file of an exported voice: what Piper's programs read, and all that we know of the voice.

Piper adds a mark of the beginning, a blank after it and after each phoneme, and a mark of the end. A
voice that was trained without one of these gets no id for it, and so Piper adds nothing there.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve

from allophone.config import unstructure
from allophone.synthesis.folder import StoredVoice
from allophone.text.config import EspeakConfig, GraphemeConfig
from allophone.text.symbols import BLANK, BOS, EOS, SymbolTable
from allophone_vits.config import VitsControls

ENCODER = "encoder.onnx"
DECODER = "decoder.onnx"
SETTINGS = "config.json"
"""The files in the folder of a voice in two parts."""

MARGIN = "decoder_margin"
"""The entry that only a voice in two parts has: how many frames around a stretch its samples depend on."""

OURS = "allophone"
"""The entry that only Allophone reads: `voice`, a `VoiceDescription` without its model, and `vocabulary`."""

PIPER_CONTROLS: Mapping[str, str] = {
    "noise_scale": "noise_scale",
    "length_scale": "length_scale",
    "noise_w": "noise_scale_duration",
}
"""Piper's names of controls, and ours."""

_log = logging.getLogger(__name__)


def settings_of(voice: StoredVoice, controls: VitsControls) -> dict[str, Any]:
    """What the file says; controls: the voice's own."""
    for reason in _what_piper_cannot(voice):
        _log.warning(
            "Piper's programs cannot read texts for '%s' as it learned them: %s. "
            "`allophone say` can.",
            voice.description.about.name,
            reason,
        )
    text, vocabulary = voice.description.text, voice.vocabulary
    chosen = {ours: getattr(controls, ours) for ours in PIPER_CONTROLS.values()}
    description = evolve(voice.description, model=None, controls=chosen)
    return {
        "audio": {"sample_rate": voice.description.audio.sample_rate},
        "espeak": {"voice": text.language},
        "phoneme_type": "text" if isinstance(text.phonemizer, GraphemeConfig) else "espeak",
        "phoneme_id_map": _piper_ids(vocabulary.symbols),
        "num_symbols": vocabulary.symbols.size,
        "num_speakers": max(len(vocabulary.speakers), 1),
        "speaker_id_map": {name: id for id, name in enumerate(vocabulary.speakers)},
        "inference": {name: chosen[ours] for name, ours in PIPER_CONTROLS.items()},
        "hop_length": voice.description.audio.hop_length,
        OURS: {
            "voice": unstructure(description),
            "vocabulary": json.loads(vocabulary.to_json()),
        },
    }


def _piper_ids(table: SymbolTable) -> dict[str, list[int]]:
    roles = {BLANK: table.blank, BOS: table.bos, EOS: table.eos}
    ids = {symbol: [id] for symbol, id in table.ids.items() if symbol not in roles.values()}
    return ids | {
        name: [] if symbol is None else [table.ids[symbol]] for name, symbol in roles.items()
    }


def _what_piper_cannot(voice: StoredVoice) -> Iterator[str]:
    text, table = voice.description.text, voice.vocabulary.symbols
    if not isinstance(text.phonemizer, EspeakConfig | GraphemeConfig):
        yield f"its phonemizer is {type(text.phonemizer).__name__}"
    if text.phones or text.edges is not None:
        yield "its symbols are phones of a corpus"
    roles = {BLANK: table.blank, BOS: table.bos, EOS: table.eos}
    for name, symbol in roles.items():
        if name in table.ids and symbol != name:
            yield f"'{name}' is a symbol of its texts, and a mark of Piper's"
