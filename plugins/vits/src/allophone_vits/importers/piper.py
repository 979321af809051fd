"""Piper's voices: `NAME.onnx`, with `NAME.onnx.json` beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from allophone.audio.melspec import MelSpec
from allophone.config import structure
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.foreign.files import Settings, read_json
from allophone.synthesis.folder import About, StoredVoice, VoiceDescription, write_voice
from allophone.text.config import EspeakConfig, GraphemeConfig, TextConfig
from allophone.text.symbols import BLANK, BOS, EOS, SymbolTable
from allophone_vits.exporters.settings import OURS, PIPER_CONTROLS
from allophone_vits.importers.checkpoint import ReferenceCheckpoint, voice_of
from allophone_vits.importers.piper_onnx import read_graph


def recognises_voice(source: Path) -> bool:
    """Whether `source` looks like a Piper voice."""
    return source.suffix == ".onnx" and settings_beside(source).is_file()


def import_voice(source: Path, destination: Path) -> None:
    """Write the voice folder of a Piper voice: `source` is its ONNX file."""
    write_voice(destination, read_voice(source))


def read_voice(source: Path, about: About | None = None) -> StoredVoice:
    """A Piper voice as one of ours; it lacks what only training and voice conversion use.

    about: unless given, what its JSON file says, which files of others do not.
    """
    settings = read_settings(settings_beside(source))
    about = about or settings.about or About(name=source.stem, licence="not stated")
    graph = read_graph(source)
    checkpoint = ReferenceCheckpoint(
        generator=graph.tensors,
        inference_only=True,
        upsample_rates=graph.upsample_rates,
        residual_dilations=graph.residual_dilations,
        audio=settings.audio(hop_length=math.prod(graph.upsample_rates)),
        text=settings.text,
        vocabulary=settings.vocabulary,
        controls=settings.controls,
    )
    return voice_of(checkpoint, about)


def settings_beside(source: Path) -> Path:
    """Where the JSON file of an ONNX file lies."""
    return source.with_name(f"{source.name}.json")


@frozen(kw_only=True)
class PiperSettings:
    """What the JSON file of a Piper voice or checkpoint says.

    hop_length: as far as the file says it; mel, about: only where we wrote the file.
    """

    sample_rate: int
    hop_length: int | None
    text: TextConfig
    vocabulary: Vocabulary
    controls: Mapping[str, float]
    mel: MelSpec | None = None
    about: About | None = None

    def audio(self, *, hop_length: int) -> MelSpec:
        """Piper trains on VITS's spectrogram; its own files hold the sample rate alone."""
        if self.mel is not None:
            return self.mel
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
    content = read_json(path)
    if OURS in content:
        return _our_settings(content)
    return PiperSettings(
        hop_length=content.get("hop_length"),
        sample_rate=content["audio.sample_rate"],
        text=_text(content),
        vocabulary=Vocabulary(
            symbols=_symbols(content["phoneme_id_map"], path), speakers=_speakers(content)
        ),
        controls=_controls(content.get("inference", {})),
    )


def _our_settings(content: Settings) -> PiperSettings:
    """What an exporter of ours has written (`exporters.settings`), all of it."""
    ours = content.table(OURS)
    voice = structure(VoiceDescription, ours["voice"], where=f"{content.path}, {OURS}.voice")
    return PiperSettings(
        sample_rate=voice.audio.sample_rate,
        hop_length=voice.audio.hop_length,
        text=voice.text,
        vocabulary=Vocabulary.from_json(json.dumps(ours["vocabulary"])),
        controls=voice.controls,
        mel=voice.audio,
        about=voice.about,
    )


def _text(content: Settings) -> TextConfig:
    kind = content.get("phoneme_type", "espeak")
    if kind not in ("espeak", "text"):
        raise UserError(
            f"{content.path}: the voice reads phonemes of the type '{kind}', which no phonemizer here "
            "makes."
        )
    return TextConfig(
        language=content["espeak.voice"],
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


def _speakers(content: Settings) -> tuple[str, ...]:
    """Names in the order of ids; a number stands for a speaker without a name."""
    names = {id: name for name, id in content.get("speaker_id_map", {}).items()}
    count = content.get("num_speakers", 1)
    return tuple(names.get(id, str(id)) for id in range(count)) if count > 1 else ()


def _controls(inference: Mapping[str, float]) -> dict[str, float]:
    return {
        ours: float(inference[name]) for name, ours in PIPER_CONTROLS.items() if name in inference
    }
