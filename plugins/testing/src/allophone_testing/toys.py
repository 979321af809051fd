"""A family of toy models that speak: deterministic, trained by nobody, registered as an inline plugin.

    registry = toy_registry()
    write_voice(folder, stored_voice(), registry=registry)
    load(folder, registry=registry).say("Hello.")

With an importer, an exporter with an engine of its own, and a vocoder.
B batch, T text, F frames, M mels, N samples.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from attrs import evolve, field, frozen, validators
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.data.vocabulary import Vocabulary
from allophone.entries import (
    EngineEntry,
    ExporterEntry,
    ImporterEntry,
    ModelEntry,
    TrainerEntry,
    VocoderEntry,
    VoiceEntry,
)
from allophone.errors import UserError
from allophone.hookspecs import hookimpl
from allophone.inference.engine import load_stored
from allophone.inference.folder import (
    StoredVocoder,
    StoredVoice,
    VocoderDescription,
    write_vocoder,
    write_voice,
)
from allophone.inference.protocol import Mels, Speech, TextBatch, VocoderSpec, VoiceSpec
from allophone.registry import Registry, build_registry
from allophone.synthesis.description import About, VoiceDescription
from allophone.synthesis.engine import EngineOptions, LoadedVoice
from allophone.text.config import GraphemeConfig, TextConfig
from allophone.text.symbols import SymbolTable

AUDIO = MelSpec(sample_rate=8000, n_fft=64, hop_length=16, win_length=64, n_mels=8)
LETTERS = "abcdefghijklmnopqrstuvwxyz .,!?"


@frozen(kw_only=True)
class ToyConfig:
    """The model `toy`, which makes waveforms."""

    pitch: float = field(default=0.1, validator=validators.gt(0))


@frozen(kw_only=True)
class ToyMelConfig:
    """The model `toymel`, which makes mels."""


@frozen(kw_only=True)
class ToyTrainerConfig:
    """The trainer of `toy`."""


@frozen(kw_only=True)
class ToyVocoderConfig:
    """The vocoder `toycoder`, which is learned."""


@frozen(kw_only=True)
class ToyControls:
    """What the models can be told: how long symbols are, and how much noise there is."""

    length_scale: float = field(default=1.0, validator=validators.gt(0))
    noise_scale: float = field(default=0.5, validator=validators.ge(0))


def durations_of(text: TextBatch, controls: ToyControls) -> Tensor:
    """Frames of each symbol, by its id."""
    mask = torch.arange(text.ids.size(1)) < text.lengths[:, None]
    return torch.ceil((1 + text.ids % 3) * controls.length_scale).long() * mask


class ToySynthesizer:
    """Speaks a tone an id, with noise by the row's seed."""

    controls = ToyControls

    def __init__(
        self, spec: VoiceSpec, weights: Mapping[str, Tensor], device: torch.device
    ) -> None:
        del device
        if set(weights) != {"gain"}:
            raise UserError(f"The weights do not fit: {sorted(weights)}")
        self.gain = weights["gain"]
        self.pitch = spec.model.pitch
        self.hop = spec.audio.hop_length

    def synthesize(self, text: TextBatch, controls: ToyControls) -> Speech:
        durations = durations_of(text, controls)
        lengths = durations.sum(1) * self.hop
        waveform = torch.zeros(len(text.ids), int(lengths.max()))
        for row in range(len(waveform)):
            per_sample = text.ids[row].repeat_interleave(durations[row] * self.hop)
            generator = torch.Generator().manual_seed(text.seeds[row])
            noise = torch.rand(len(per_sample), generator=generator) - 0.5
            tone = torch.sin(self.pitch * (per_sample + text.speakers[row]).cumsum(0))
            said = self.gain * tone + 0.1 * controls.noise_scale * noise
            waveform[row, : len(said)] = said
        return Speech(waveform=waveform, lengths=lengths, durations=durations)

    def stream(self, text: TextBatch, controls: ToyControls) -> Iterator[Tensor]:
        assert len(text.ids) == 1
        yield from self.synthesize(text, controls).waveform[0].split(100)  # type: ignore[no-untyped-call]

    def convert(self, waveform: Tensor, source: int, target: int, *, seed: int) -> Tensor:
        del seed
        return waveform * (1 + source) / (2 + target)


class ToyMelSynthesizer:
    """Says a mel that is all one value."""

    controls = ToyControls

    def __init__(
        self, spec: VoiceSpec, weights: Mapping[str, Tensor], device: torch.device
    ) -> None:
        del weights, device
        self.bands = spec.audio.n_mels

    def synthesize(self, text: TextBatch, controls: ToyControls) -> Mels:
        durations = durations_of(text, controls)
        frames = durations.sum(1)
        mask = torch.arange(int(frames.max())) < frames[:, None]
        mel = -2.0 * mask[:, None].expand(-1, self.bands, -1)
        return Mels(mel=mel, lengths=frames, durations=durations)


class ToyVocoder:
    """Repeats one value."""

    def __init__(
        self, spec: VocoderSpec, weights: Mapping[str, Tensor], device: torch.device
    ) -> None:
        del device
        self.audio = spec.audio
        self.value = weights["value"]

    def vocode(self, mel: Tensor, lengths: Tensor) -> Tensor:
        mask = torch.arange(mel.size(2)) < lengths[:, None]
        return (self.value * mask).repeat_interleave(self.audio.hop_length, dim=1)


def import_toy(source: Path, destination: Path) -> None:
    write_voice(destination, stored_voice(name=source.stem), registry=toy_registry())


def import_broken_toy(source: Path, destination: Path) -> None:
    weights = {"wrong": torch.ones(1)}
    write_voice(destination, stored_voice(weights=weights), registry=toy_registry())


def import_toy_vocoder(source: Path, destination: Path) -> None:
    write_vocoder(destination, stored_vocoder(), registry=toy_registry())


def export_toy(voice: StoredVoice, destination: Path) -> None:
    """What is beside the file says how loud it is, in words that only `load_toy` knows."""
    destination.write_text(voice.vocabulary.to_json())
    gain = float(voice.weights["gain"])
    destination.with_name(f"{destination.name}.gain").write_text(str(gain))


def export_toy_in_parts(voice: StoredVoice, destination: Path) -> None:
    destination.mkdir()
    export_toy(voice, destination / "whole.tones")


def export_half(voice: StoredVoice, destination: Path) -> None:
    export_toy(voice, destination)
    raise UserError("The disk is full.")


def load_toy(place: Path, options: EngineOptions) -> LoadedVoice:
    place = place / "whole.tones" if place.is_dir() else place
    gain = place.with_name(f"{place.name}.gain")
    if not gain.exists():
        raise UserError(f"{gain} is missing.")
    vocabulary = Vocabulary.from_json(place.read_text())
    stored = stored_voice(
        name=place.stem, weights={"gain": torch.tensor([float(gain.read_text())])}
    )
    loaded = load_stored(evolve(stored, vocabulary=vocabulary), registry=options.registry)
    return evolve(loaded, description=evolve(stored.description, model=None))


def ends_in_tones(place: Path) -> bool:
    return place.suffix == ".tones" if place.is_file() else (place / "whole.tones").exists()


def ends_in_toy(source: Path) -> bool:
    return source.suffix == ".toy"


def ends_in_broken(source: Path) -> bool:
    return source.suffix == ".broken" or source.name == "both.toy"


def ends_in_coder(source: Path) -> bool:
    return source.suffix == ".coder"


def importer(name: str, importer: str, recognises: str) -> ImporterEntry:
    return ImporterEntry(
        name=name,
        summary="Toys.",
        importer=f"{__name__}:{importer}",
        recognises=f"{__name__}:{recognises}",
    )


def toy_plugin(voices: Iterable[tuple[str, str, Path]] = ()) -> types.ModuleType:
    """The plugin; voices: (name, language, folder) of those that it ships."""
    module: Any = types.ModuleType("toy_plugin")
    module.CONTRACT = 1

    @hookimpl
    def allophone_models() -> Iterator[ModelEntry]:
        yield ModelEntry(
            name="toy",
            summary="Tones.",
            config=f"{__name__}:ToyConfig",
            synthesizer=f"{__name__}:ToySynthesizer",
            importers=(
                importer("file", "import_toy", "ends_in_toy"),
                importer("broken", "import_broken_toy", "ends_in_broken"),
            ),
            exporters=(
                ExporterEntry(
                    name="tones",
                    summary="Toys.",
                    exporter=f"{__name__}:export_toy",
                    streaming=f"{__name__}:export_toy_in_parts",
                ),
                ExporterEntry(name="half", summary="Toys.", exporter=f"{__name__}:export_half"),
            ),
        )
        yield ModelEntry(
            name="toymel",
            summary="Mels.",
            config=f"{__name__}:ToyMelConfig",
            synthesizer=f"{__name__}:ToyMelSynthesizer",
        )

    @hookimpl
    def allophone_engines() -> Iterator[EngineEntry]:
        yield EngineEntry(
            name="tones",
            summary="Toys.",
            engine=f"{__name__}:load_toy",
            recognises=f"{__name__}:ends_in_tones",
            light=True,
        )

    @hookimpl
    def allophone_trainers() -> Iterator[TrainerEntry]:
        yield TrainerEntry(
            name="toy",
            summary="Trains nothing.",
            config=f"{__name__}:ToyTrainerConfig",
            objective=f"{__name__}:ToyConfig",
            trains="toy",
            inference_module="generator",
        )

    @hookimpl
    def allophone_vocoders() -> Iterator[VocoderEntry]:
        yield VocoderEntry(
            name="toycoder",
            summary="One value.",
            config=f"{__name__}:ToyVocoderConfig",
            vocoder=f"{__name__}:ToyVocoder",
            importers=(importer("file", "import_toy_vocoder", "ends_in_coder"),),
        )

    @hookimpl
    def allophone_voices() -> Iterator[VoiceEntry]:
        for name, language, folder in voices:
            setattr(sys.modules[__name__], f"locate_{name}", _always(folder))
            yield VoiceEntry(
                name=name,
                summary="A toy.",
                language=language,
                licence="CC0-1.0",
                locate=f"{__name__}:locate_{name}",
            )

    for hook in (
        allophone_models,
        allophone_engines,
        allophone_trainers,
        allophone_vocoders,
        allophone_voices,
    ):
        setattr(module, hook.__name__, hook)
    built: types.ModuleType = module
    return built


def _always(folder: Path) -> Callable[[], Path]:
    return lambda: folder


def toy_registry(voices: Iterable[tuple[str, str, Path]] = ()) -> Registry:
    """A registry with the toys beside all installed plugins."""
    return build_registry({"toys": toy_plugin(voices)})


def stored_voice(
    *,
    name: str = "tim",
    model: Any = None,
    weights: Mapping[str, Tensor] | None = None,
    speakers: tuple[str, ...] = (),
    languages: tuple[str, ...] = (),
    controls: Mapping[str, Any] | None = None,
    audio: MelSpec = AUDIO,
) -> StoredVoice:
    """A voice of the model `toy`, or of `model`, a config."""
    return StoredVoice(
        description=VoiceDescription(
            about=About(name=name, licence="CC0-1.0", summary="A toy voice."),
            model=model or ToyConfig(),
            audio=audio,
            text=TextConfig(language="en", normalize=False, phonemizer=GraphemeConfig()),
            controls=controls or {},
        ),
        vocabulary=Vocabulary(
            symbols=SymbolTable.from_symbols(LETTERS, blank="_"),
            speakers=speakers,
            languages=languages,
        ),
        weights={"gain": torch.tensor([0.25])} if weights is None else weights,
    )


def stored_vocoder(audio: MelSpec = AUDIO) -> StoredVocoder:
    """A vocoder `toycoder`."""
    return StoredVocoder(
        description=VocoderDescription(
            about=About(name="coder", licence="CC0-1.0"), vocoder=ToyVocoderConfig(), audio=audio
        ),
        weights={"value": torch.tensor([0.5])},
    )
