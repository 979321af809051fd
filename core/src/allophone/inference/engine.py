"""The engine `torch`: runs model families with PyTorch, and a vocoder for models that predict mels.

B batch, T text, N samples.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.files.run_folder import is_run
from allophone.inference.devices import parse_device, to_numpy
from allophone.inference.folder import StoredVoice, build_synthesizer
from allophone.inference.importing import find_or_import, recognises_checkpoint
from allophone.inference.memory import HeapTrimmer, limit_shape_cache
from allophone.inference.protocol import Mels, Speech, Synthesizer, TextBatch, Vocoder
from allophone.inference.vocoders import (
    FALLBACK,
    apply_vocoder,
    controls_of,
    fingerprint,
    load_vocoder,
    override_controls,
    stream_vocoder,
)
from allophone.registry import Registry, default_registry
from allophone.synthesis.description import VOICE
from allophone.synthesis.engine import (
    EngineOptions,
    LoadedVoice,
    Samples,
    Sentence,
    SentenceAudio,
)
from allophone.synthesis.ledger import digest
from allophone.synthesis.voice import Voice

_log = logging.getLogger(__name__)


def recognises(place: Path) -> bool:
    """Whether `place` is a voice folder, a run, a checkpoint of one, or something an importer can read."""
    return (
        (place / VOICE).is_file()
        or is_run(place)
        or recognises_checkpoint(place, default_registry())
    )


def load(place: Path, options: EngineOptions) -> LoadedVoice:
    """Load a voice. Another project's checkpoint is converted once, into the user's cache.

    Raises UserError for invalid or mismatched files, and PluginError for missing plugins.
    """
    registry = options.registry
    found = find_or_import(place, registry)
    return load_stored(
        found.read(registry),
        device=options.device,
        vocoder=options.vocoder,
        vocoder_controls=options.vocoder_controls,
        registry=registry,
        weights=found.weights,
    )


def load_stored(
    stored: StoredVoice,
    *,
    registry: Registry,
    device: str = "cpu",
    vocoder: str | Path | None = None,
    vocoder_controls: Mapping[str, Any] | None = None,
    weights: Path | None = None,
) -> LoadedVoice:
    """Load a voice that has already been read.

    weights: the file that it was read from, for `provenance`.
    """
    if vocoder_controls and vocoder is None:
        raise UserError(
            f"Vocoder controls were given ({', '.join(vocoder_controls)}), but no vocoder.",
            hint="Give the vocoder too.",
        )
    parsed = parse_device(device)
    if parsed.type == "cpu":
        # Before the model is built, which may prepare weights for convolutions.
        limit_shape_cache()
    engine = TorchEngine(
        build_synthesizer(stored, parsed, registry),
        stored.description.audio,
        device=parsed,
        registry=registry,
        name=stored.description.about.name,
        weights=weights,
    )
    if vocoder is not None:
        engine.use_vocoder(vocoder, vocoder_controls or {})
    return LoadedVoice(description=stored.description, vocabulary=stored.vocabulary, engine=engine)


def open_voice(
    stored: StoredVoice,
    *,
    registry: Registry,
    device: str = "cpu",
    vocoder: str | Path | None = None,
) -> Voice:
    """Make a `Voice` from a voice that has already been read."""
    loaded = load_stored(stored, registry=registry, device=device, vocoder=vocoder)
    return Voice(
        description=loaded.description,
        vocabulary=loaded.vocabulary,
        engine=loaded.engine,
        registry=registry,
    )


def synthesizer_of(voice: Voice) -> Any:
    """Return the model family's synthesizer of a voice loaded by this engine."""
    assert isinstance(voice.engine, TorchEngine)
    return voice.engine.synthesizer


class TorchEngine:
    """A synthesizer and, if it predicts mels, a vocoder; implements `allophone.synthesis.engine.Engine`.

    synthesizer: the model family's synthesizer, with its optional members (`align`, `reconstruct`).
    vocoder: None until one is needed or chosen.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        audio: MelSpec,
        *,
        device: torch.device,
        registry: Registry,
        name: str,
        weights: Path | None = None,
    ) -> None:
        self.synthesizer = synthesizer
        self.vocoder: Vocoder | None = None
        self._audio = audio
        self._device = device
        self._registry = registry
        self._name = name
        self._weights = weights
        self._vocoder_place: str | Path | None = None
        self._trim_heap: Callable[[], None] | None = None
        if device.type == "cpu":
            self._trim_heap = HeapTrimmer()

    @property
    def controls(self) -> type:
        return self.synthesizer.controls

    @property
    def prompt_seconds(self) -> tuple[float, float] | None:
        return getattr(self.synthesizer, "prompt_seconds", None)

    @property
    def needs_prompt(self) -> bool:
        return bool(getattr(self.synthesizer, "needs_prompt", False))

    @cached_property
    def needs_vocoder(self) -> bool:
        """Whether the model predicts mels. Models do not declare it, so a single id is synthesized to find
        out; models that take prompts always generate waveforms."""
        if self.prompt_seconds is not None:
            return False
        sentence = Sentence(text="", symbols=(), ids=(0,))
        with torch.inference_mode():
            made = self.synthesizer.synthesize(
                text_batch([sentence], self._device), self.controls()
            )
        return isinstance(made, Mels)

    @property
    def provenance(self) -> Mapping[str, Any]:
        provenance: dict[str, Any] = {
            "weights": self._weights and digest(self._weights),
            "vocoder": self._vocoder_place and fingerprint(self._vocoder_place, self._registry),
        }
        if chosen := controls_of(self.vocoder, self._registry):
            provenance["vocoder_controls"] = chosen
        return provenance

    def use_vocoder(self, place: str | Path, controls: Mapping[str, Any]) -> None:
        """Use another vocoder; UserError if it takes other mels, or for unknown controls."""
        vocoder = load_vocoder(place, self._audio, device=self._device, registry=self._registry)
        self.vocoder = override_controls(vocoder, controls, self._registry, name=str(place))
        self._vocoder_place = place

    @torch.inference_mode()
    def synthesize(self, sentences: Sequence[Sentence], controls: Any) -> list[SentenceAudio]:
        if self._trim_heap is not None:
            self._trim_heap()
        made = self.synthesizer.synthesize(text_batch(sentences, self._device), controls)
        speech = self._apply_vocoder(made)
        waveforms = to_numpy(speech.waveform)
        lengths = speech.lengths.tolist()
        durations = None if speech.durations is None else speech.durations.tolist()
        cut_off = speech.cut_off or (None,) * len(sentences)
        return [
            SentenceAudio(
                samples=waveforms[row, : lengths[row]].copy(),
                durations=tuple(durations[row][: len(sentence.ids)]) if durations else None,
                cut_off=cut_off[row],
            )
            for row, sentence in enumerate(sentences)
        ]

    def stream(self, sentence: Sentence, controls: Any) -> Iterator[Samples]:
        if self._trim_heap is not None:
            self._trim_heap()
        chunks = self._chunks(sentence, controls)
        # Inference mode must not be active while the caller processes a chunk.
        while True:
            with torch.inference_mode():
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield to_numpy(chunk)

    @property
    def convert(self) -> Callable[..., Samples] | None:
        """The voice conversion function; None if the model has none."""
        convert = getattr(self.synthesizer, "convert", None)
        if convert is None:
            return None

        @torch.inference_mode()
        def converted(samples: Samples, source: int, target: int, *, seed: int) -> Samples:
            waveform = torch.from_numpy(samples).to(self._device)
            return to_numpy(convert(waveform, source, target, seed=seed))

        return converted

    def _chunks(self, sentence: Sentence, controls: Any) -> Iterator[Tensor]:
        """Yield chunks [N], streamed by the model if it can, else by the vocoder."""
        text = text_batch([sentence], self._device)
        stream = getattr(self.synthesizer, "stream", None)
        if stream is not None:
            self._drop_vocoder()
            yield from stream(text, controls)
            return
        made = self.synthesizer.synthesize(text, controls)
        if isinstance(made, Mels):
            yield from stream_vocoder(self._ready_vocoder(), made)
        else:
            yield self._apply_vocoder(made).waveform[0, : int(made.lengths[0])]

    def _apply_vocoder(self, made: Mels | Speech) -> Speech:
        if isinstance(made, Mels):
            return apply_vocoder(self._ready_vocoder(), made)
        self._drop_vocoder()
        return made

    def _drop_vocoder(self) -> None:
        """Drop a vocoder that was given for a model that generates waveforms, with a warning."""
        if self.vocoder is not None:
            _log.warning("'%s' generates waveforms: the vocoder is ignored.", self._name)
            self.vocoder = None

    def _ready_vocoder(self) -> Vocoder:
        if self.vocoder is None:
            _log.warning(
                "'%s' predicts mel spectrograms, but no vocoder was given; falling back to %s, which has low "
                "quality.",
                self._name,
                FALLBACK,
            )
            self.vocoder = load_vocoder(
                FALLBACK, self._audio, device=self._device, registry=self._registry
            )
        return self.vocoder


def text_batch(sentences: Sequence[Sentence], device: torch.device) -> TextBatch:
    """Collate sentences into a batch on a device. Either all sentences have a prompt, or none has."""
    prompts = tuple(one.prompt for one in sentences if one.prompt is not None)
    assert len(prompts) in (0, len(sentences))
    ids = [torch.tensor(one.ids, dtype=torch.long) for one in sentences]
    return TextBatch(
        ids=pad_sequence(ids, batch_first=True).to(device),
        lengths=torch.tensor([len(row) for row in ids], device=device),
        speakers=torch.tensor([one.speaker for one in sentences], device=device),
        languages=torch.tensor([one.language for one in sentences], device=device),
        seeds=tuple(one.seed for one in sentences),
        prompts=prompts or None,
    )
