"""The engine `onnx`: exported voices, and those of Piper, through onnxruntime, without PyTorch.

A voice is one graph, or three: text encoder, flow and decoder, of which the last two run on stretches of
an utterance, so that the first samples are there before the whole sentence is synthesized. A Piper voice,
which is one graph, is cut into three where its nodes say how: see `parts`.

T text, F frames, N samples, C latent channels.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen, validators
from numpy.typing import NDArray

from allophone.foreign.settings import read_json
from allophone.synthesis.chunks import chunk_sizes
from allophone.synthesis.description import About, VoiceDescription
from allophone.synthesis.engine import (
    EngineOptions,
    LoadedVoice,
    Samples,
    Sentence,
    SentenceAudio,
)
from allophone_onnx.noise import Stream, seeded_noise
from allophone_onnx.prepared import load_prepared
from allophone_onnx.session import Feed, Graph, providers_of
from allophone_onnx.settings import (
    DECODER,
    ENCODER,
    FLOW,
    PARTS,
    SETTINGS,
    WHOLE,
    PartsSettings,
    read_settings,
    settings_beside,
)

_SEEDS = 2**24
"""How many whole numbers a scale, which is a float32, can tell apart."""

_USUAL_HOP = 256

FIRST_FRAMES = 16
"""Of the first chunk: 186 ms at 22.05 kHz, in which the next is computed on a slow processor too."""

CHUNK_FRAMES = 160
"""As many frames as keep the decoder's largest layers about within a processor core's cache."""

_TEXT = ("input", "input_lengths", "scales")
_NEEDS = {
    WHOLE: _TEXT,
    ENCODER: _TEXT,
    FLOW: ("latents",),
    DECODER: ("latents",),
}
"""The inputs that each graph must have."""

_log = logging.getLogger(__name__)


@frozen(kw_only=True)
class OnnxControls:
    """What a caller can set.

    length_scale: factor on durations; 2 speaks half as fast.
    noise_scale: how much the sound varies; 0 gives the mean.
    noise_scale_duration: how much the rhythm varies.
    """

    length_scale: float = field(default=1.0, validator=validators.gt(0))
    noise_scale: float = field(default=0.667, validator=validators.ge(0))
    noise_scale_duration: float = field(default=0.8, validator=validators.ge(0))


def load(place: Path, options: EngineOptions) -> LoadedVoice:
    """Load an exported voice. Raises UserError for files that are damaged, missing or not of a voice."""
    providers = providers_of(options.device)
    single = place.is_file()
    settings_file = settings_beside(place) if single else place / SETTINGS
    settings = read_settings(settings_file, options.registry)
    files = (place,) if single else tuple(place / name for name in (ENCODER, FLOW, DECODER))
    prepared = load_prepared(files, providers=providers, needs=_NEEDS)
    parts = prepared.parts
    if not single:
        parts = PartsSettings(**read_json(settings_file)[PARTS])
    hop_length = prepared.hop_length or settings.hop_length or _USUAL_HOP
    if options.vocoder is not None:
        _log.warning("'%s' generates waveforms: the vocoder is ignored.", place.name)
    engine: OnnxEngine
    if parts is None:
        (graph,) = prepared.graphs.values()
        engine = OnnxEngine(graph, files=files)
    else:
        engine = PartsEngine(prepared.graphs, parts, hop_length=hop_length, files=files)
    description = VoiceDescription(
        about=settings.about or About(name=place.stem, licence="not stated"),
        audio=settings.audio(hop_length=hop_length),
        text=settings.text,
        controls=settings.controls,
    )
    return LoadedVoice(description=description, vocabulary=settings.vocabulary, engine=engine)


class OnnxEngine:
    """Speaks through one graph, sentence by sentence.

    Graphs of others take no seed: their noise differs each time.
    """

    controls = OnnxControls

    def __init__(self, graph: Graph, *, files: Sequence[Path]) -> None:
        self._graph = graph
        self._files = files

    @property
    def provenance(self) -> Mapping[str, Any]:
        digest = hashlib.sha256()
        for file in self._files:
            digest.update(file.read_bytes())
        return {"weights": digest.hexdigest()[:16]}

    def synthesize(
        self, sentences: Sequence[Sentence], controls: OnnxControls
    ) -> list[SentenceAudio]:
        return [self._speak(sentence, controls) for sentence in sentences]

    def _speak(self, sentence: Sentence, controls: OnnxControls) -> SentenceAudio:
        waveform, *rest = self._graph(self._feed(sentence, controls))
        return SentenceAudio(
            samples=waveform.reshape(-1),
            durations=tuple(rest[0].reshape(-1).astype(int).tolist()) if rest else None,
        )

    def _feed(self, sentence: Sentence, controls: OnnxControls) -> dict[str, NDArray[Any]]:
        """What one sentence is to the graph."""
        scales = [controls.noise_scale, controls.length_scale, controls.noise_scale_duration]
        if not isinstance(self._graph.inputs["scales"][0], int):
            scales.append(sentence.seed % _SEEDS)
        return {
            "input": np.array([sentence.ids], dtype=np.int64),
            "input_lengths": np.array([len(sentence.ids)], dtype=np.int64),
            "scales": np.array(scales, dtype=np.float32),
            "sid": np.array([sentence.speaker], dtype=np.int64),
        }


class PartsEngine(OnnxEngine):
    """Speaks through three graphs; everything random follows from the seed.

    encoder: the text to the mean and the logarithm of the scale of each id's prior [1, C, T], and its
        duration in frames; flow: what is drawn from the prior to latents [1, C, F]; decoder: latents to
        samples.
    """

    def __init__(
        self,
        graphs: Mapping[str, Graph],
        parts: PartsSettings,
        *,
        hop_length: int,
        files: Sequence[Path],
    ) -> None:
        super().__init__(graphs[ENCODER], files=files)
        self._flow = graphs[FLOW]
        self._decoder = graphs[DECODER]
        self._parts = parts
        self._hop_length = hop_length

    def stream(self, sentence: Sentence, controls: OnnxControls) -> Iterator[Samples]:
        feed = self._feed(sentence, controls)
        yield from self._chunks(self._read(sentence, feed, controls), feed)

    def _speak(self, sentence: Sentence, controls: OnnxControls) -> SentenceAudio:
        feed = self._feed(sentence, controls)
        reading = self._read(sentence, feed, controls)
        return SentenceAudio(
            samples=np.concatenate(list(self._chunks(reading, feed))),
            durations=tuple(reading.durations.tolist()),
        )

    def _read(self, sentence: Sentence, feed: Feed, controls: OnnxControls) -> _Reading:
        noise = seeded_noise(
            sentence.seed,
            Stream.DURATION,
            channels=self._parts.duration_channels,
            positions=len(sentence.ids),
        )
        mean, log_scale, durations = self._graph({**feed, "duration_noise": noise[None]})
        return _Reading(
            mean=mean,
            scale=np.exp(log_scale) * np.float32(controls.noise_scale),
            durations=durations.reshape(-1).astype(np.int64),
            seed=sentence.seed,
        )

    def _chunks(self, reading: _Reading, feed: Feed) -> Iterator[Samples]:
        """Chunks [N]. The flow goes through the stretch of the first, that of the second, then the rest, each
        with the frames around it that decide it: so the first comes soon, and the second in time."""
        sizes = chunk_sizes(reading.frames, usual=CHUNK_FRAMES, first=FIRST_FRAMES)
        start = 0
        for group in filter(None, (sizes[:1], sizes[1:2], sizes[2:])):
            stretch = self._flow_through(reading, start, start + sum(group), feed)
            for size in group:
                yield self._decode(stretch, start, start + size, feed)
                start += size

    def _flow_through(self, reading: _Reading, start: int, stop: int, feed: Feed) -> _Stretch:
        """The latents that decide frames `start` to `stop`."""
        first, last = 0, reading.frames
        if self._parts.flow_margin is not None:
            margin = self._parts.decoder_margin + self._parts.flow_margin
            first, last = max(0, start - margin), min(last, stop + margin)
        mask = np.ones((1, 1, last - first), dtype=np.float32)
        drawn = reading.draw(first, last)
        return _Stretch(
            first=first, latents=self._flow({**feed, "latents": drawn, "mask": mask})[0]
        )

    def _decode(self, stretch: _Stretch, start: int, stop: int, feed: Feed) -> Samples:
        """The samples [N] of frames `start` to `stop`, decoded with the frames around them that decide
        them."""
        margin, hop_length = self._parts.decoder_margin, self._hop_length
        first = max(0, start - margin)
        around = stretch.latents[:, :, first - stretch.first : stop + margin - stretch.first]
        samples: Samples = self._decoder({**feed, "latents": around})[0].reshape(-1)
        return samples[(start - first) * hop_length : (stop - first) * hop_length]


@frozen(kw_only=True, eq=False)
class _Reading:
    """What the encoder makes of a sentence: the mean and the scale of each id's prior [1, C, T], and the
    frames [T] of each id."""

    mean: Samples
    scale: Samples
    durations: NDArray[np.int64]
    seed: int

    @cached_property
    def _index(self) -> NDArray[np.int64]:
        """The id that each frame belongs to."""
        return np.repeat(np.arange(len(self.durations)), self.durations)

    @property
    def frames(self) -> int:
        return len(self._index)

    def draw(self, first: int, last: int) -> Samples:
        """What is drawn from the prior for some frames [1, C, F] (figure 1b of Kim et al. 2021)."""
        index = self._index[first:last]
        noise = seeded_noise(
            self.seed,
            Stream.LATENT,
            channels=self.mean.shape[1],
            positions=len(index),
            first=first,
        )
        return self.mean[:, :, index] + noise * self.scale[:, :, index]


@frozen(kw_only=True, eq=False)
class _Stretch:
    """Latents [1, C, F] of the frames from `first` on."""

    first: int
    latents: Samples
