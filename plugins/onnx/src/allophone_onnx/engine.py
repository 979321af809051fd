"""The engine `onnx`: runs exported voices and Piper voices with onnxruntime, without PyTorch.

A voice is one graph, or three: text encoder, flow and decoder. The last two run on ranges of frames, so that
the first samples are available before the whole sentence is synthesized. A Piper voice is a single graph, which is
split into three if possible: see `cutting`.

T text, F frames, N samples, C latent channels.
"""

from __future__ import annotations

import hashlib
import itertools
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
from allophone_onnx.encoding import EncodedText, Encoder, WholeEncoder, WindowedEncoder
from allophone_onnx.noise import Stream, seeded_noise
from allophone_onnx.prepared import load_prepared
from allophone_onnx.rewriting.winograd import TILE
from allophone_onnx.session import Feed, Graph, providers_of
from allophone_onnx.settings import (
    CONTEXT,
    DECODER,
    ENCODER,
    FLOW,
    PARTS,
    PRIOR,
    SETTINGS,
    WHOLE,
    PartsSettings,
    read_settings,
    settings_beside,
)

_SEEDS = 2**24
"""Seeds are passed as float32, which represents integers up to this exactly."""

_USUAL_HOP = 256

FIRST_FRAMES = 16
"""Frames of the first chunk: 186 ms at 22.05 kHz, enough to compute the next chunk on a slow processor."""

CHUNK_FRAMES = 160
"""Frames of other chunks: the decoder's largest layers about fit in the cache of a core."""

_TEXT = ("input", "input_lengths", "scales")
_NEEDS = {
    WHOLE: _TEXT,
    ENCODER: _TEXT,
    CONTEXT: ("input",),
    PRIOR: ("hidden", "window", "scales", "duration_noise"),
    FLOW: ("latents",),
    DECODER: ("latents",),
}
"""The required inputs of each graph."""

_log = logging.getLogger(__name__)


@frozen(kw_only=True)
class OnnxControls:
    """The controls of exported voices.

    length_scale: factor on durations; 2 halves the speed.
    noise_scale: variation of the sound; 0 uses the mean of the prior.
    noise_scale_duration: variation of the rhythm.
    """

    length_scale: float = field(default=1.0, validator=validators.gt(0))
    noise_scale: float = field(default=0.667, validator=validators.ge(0))
    noise_scale_duration: float = field(default=0.8, validator=validators.ge(0))


def load(place: Path, options: EngineOptions) -> LoadedVoice:
    """Load an exported voice. Raises UserError if a file is missing, corrupt or not part of a voice."""
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
        _log.warning("The voice '%s' needs no vocoder; the given vocoder is ignored.", place.name)
    engine: OnnxEngine
    if parts is None:
        (graph,) = prepared.graphs.values()
        engine = OnnxEngine(graph, files=files)
    else:
        engine = PartsEngine(
            prepared.graphs,
            parts,
            hop_length=hop_length,
            files=files,
        )
    description = VoiceDescription(
        about=settings.about or About(name=place.stem, licence="not stated"),
        audio=settings.audio(hop_length=hop_length),
        text=settings.text,
        controls=settings.controls,
    )
    return LoadedVoice(description=description, vocabulary=settings.vocabulary, engine=engine)


class OnnxEngine:
    """Runs a voice in one graph, sentence by sentence.

    Graphs that were not exported by Allophone take no seed: their noise differs each time.
    """

    controls = OnnxControls
    concurrent = True

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
        """The inputs of the graph for one sentence."""
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
    """Runs a voice in parts; all randomness depends on the seed.

    encoder: ids to the mean and the log scale of each id's prior [1, C, T], and its duration in frames, in one or two
    graphs (see `encoding`); flow: samples of the prior to latents [1, C, F]; decoder: latents to samples.
    """

    def __init__(
        self,
        graphs: Mapping[str, Graph],
        parts: PartsSettings,
        *,
        hop_length: int,
        files: Sequence[Path],
    ) -> None:
        self._encoder: Encoder
        if ENCODER in graphs:
            super().__init__(graphs[ENCODER], files=files)
            self._encoder = WholeEncoder(graphs[ENCODER])
        else:
            super().__init__(graphs[PRIOR], files=files)
            self._encoder = WindowedEncoder(graphs[CONTEXT], graphs[PRIOR])
        self._flow = graphs[FLOW]
        self._decoder = graphs[DECODER]
        self._parts = parts
        self._hop_length = hop_length

    def stream(self, sentence: Sentence, controls: OnnxControls) -> Iterator[Samples]:
        """Yield chunks [N]. The flow runs on the frames of the first chunk, of the second, and then of the rest,
        each with its context, so that the first chunk is ready early and the second in time."""
        feed, start = self._feed(sentence, controls), 0
        for encoded in self._encode(sentence, feed, controls, frames=self._first_needs):
            sizes = (
                self._chunk_sizes(encoded.frames, start)
                if encoded.text.complete
                else [FIRST_FRAMES]
            )
            for group in filter(None, (sizes[:1], sizes[1:2], sizes[2:])):
                latents = self._latents(encoded, start, start + sum(group), feed)
                for size in group:
                    yield self._decode(latents, start, start + size, feed)
                    start += size

    def _speak(self, sentence: Sentence, controls: OnnxControls) -> SentenceAudio:
        feed = self._feed(sentence, controls)
        (encoded,) = self._encode(sentence, feed, controls)
        return SentenceAudio(
            samples=self._whole(encoded, feed),
            durations=tuple(encoded.text.durations.tolist()),
        )

    def _encode(
        self, sentence: Sentence, feed: Feed, controls: OnnxControls, *, frames: int | None = None
    ) -> Iterator[_EncodedSentence]:
        """As `Encoder.encode`."""
        noise = seeded_noise(
            sentence.seed,
            Stream.DURATION,
            channels=self._parts.duration_channels,
            positions=len(sentence.ids),
        )
        for text in self._encoder.encode({**feed, "duration_noise": noise[None]}, frames=frames):
            scale = np.exp(text.log_scale) * np.float32(controls.noise_scale)
            yield _EncodedSentence(text=text, scale=scale, seed=sentence.seed)

    @property
    def _first_needs(self) -> int | None:
        """The frames that the first chunk depends on; None if these are all."""
        margin = self._parts.flow_margin
        return None if margin is None else FIRST_FRAMES + self._parts.decoder_margin + margin

    def _whole(self, encoded: _EncodedSentence, feed: Feed) -> Samples:
        """The samples [N] of all chunks, up to rounding: nobody waits for the first, so less context is computed twice."""
        latents = self._latents(encoded, 0, encoded.frames, feed)
        usual = max(CHUNK_FRAMES, 24 * self._parts.decoder_margin)
        sizes = chunk_sizes(encoded.frames, usual=usual, first=0)
        starts = itertools.accumulate(sizes, initial=0)
        return np.concatenate(
            [self._decode(latents, a, b, feed) for a, b in itertools.pairwise(starts)]
        )

    def _chunk_sizes(self, frames: int, start: int) -> list[int]:
        """The frames of each chunk from `start` on; long sentences have chunks of which the context is a sixth at most."""
        usual = max(CHUNK_FRAMES, 12 * self._parts.decoder_margin)
        if frames < 2 * usual:
            usual = CHUNK_FRAMES
        return chunk_sizes(frames - start, usual=usual, first=0 if start else FIRST_FRAMES)

    def _latents(
        self, encoded: _EncodedSentence, start: int, stop: int, feed: Feed
    ) -> _LatentRange:
        """The latents of frames `start` to `stop` with the decoder's context."""
        first, last = 0, encoded.frames
        if self._parts.flow_margin is not None:
            margin = self._parts.decoder_margin + self._parts.flow_margin
            # A range that begins with a tile of the flow is computed as in the whole sentence.
            first, last = max(0, (start - margin) // TILE * TILE), min(last, stop + margin)
        mask = np.ones((1, 1, last - first), dtype=np.float32)
        drawn = encoded.draw(first, last)
        return _LatentRange(
            first=first, latents=self._flow({**feed, "latents": drawn, "mask": mask})[0]
        )

    def _decode(self, latents: _LatentRange, start: int, stop: int, feed: Feed) -> Samples:
        """The samples [N] of frames `start` to `stop`, decoded with their context."""
        margin, hop_length = self._parts.decoder_margin, self._hop_length
        first = max(0, start - margin)
        around = latents.latents[:, :, first - latents.first : stop + margin - latents.first]
        samples: Samples = self._decoder({**feed, "latents": around})[0].reshape(-1)
        return samples[(start - first) * hop_length : (stop - first) * hop_length]


@frozen(kw_only=True, eq=False)
class _EncodedSentence:
    """scale: of each id's prior, with the noise scale of the controls [1, C, T]."""

    text: EncodedText
    scale: Samples
    seed: int

    @cached_property
    def _index(self) -> NDArray[np.int64]:
        """The index of the id of each frame."""
        durations = self.text.durations
        return np.repeat(np.arange(len(durations)), durations)

    @property
    def frames(self) -> int:
        return len(self._index)

    def draw(self, first: int, last: int) -> Samples:
        """Samples of the prior for frames `first` to `last` [1, C, F] (figure 1b of Kim et al. 2021)."""
        index = self._index[first:last]
        noise = seeded_noise(
            self.seed,
            Stream.LATENT,
            channels=self.scale.shape[1],
            positions=len(index),
            first=first,
        )
        return self.text.mean[:, :, index] + noise * self.scale[:, :, index]


@frozen(kw_only=True, eq=False)
class _LatentRange:
    """Latents [1, C, F] of the frames starting at `first`."""

    first: int
    latents: Samples
