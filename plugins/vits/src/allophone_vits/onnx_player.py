"""Speaking with exported voices through onnxruntime: Piper's own files too, and ours in two parts.

Legend: B batch, T text, F frames, N samples, C latent channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import evolve, field, frozen, validators
from numpy.typing import NDArray
from torch import Tensor, nn

from allophone.errors import UserError
from allophone.foreign.files import read_json
from allophone.synthesis.folder import About, VoiceDescription
from allophone.synthesis.playing import PlayedVoice
from allophone.synthesis.protocol import Speech, TextBatch
from allophone_vits.exporters.settings import DECODER, ENCODER, MARGIN, SETTINGS
from allophone_vits.importers.piper import PiperSettings, read_settings, settings_beside
from allophone_vits.inference import Latents, chunk_sizes, decode_chunk

Feed = dict[str, NDArray[Any]]

_SEEDS = 2**24
"""How many whole numbers a scale, which is a float32, can tell apart."""

_USUAL_HOP = 256
_EXTRA = "pip install 'allophone-vits[onnx]'"


@frozen(kw_only=True)
class OnnxControls:
    """What a speaker of text may set; see `VitsControls`."""

    length_scale: float = field(default=1.0, validator=validators.gt(0))
    noise_scale: float = field(default=0.667, validator=validators.ge(0))
    noise_scale_duration: float = field(default=0.8, validator=validators.ge(0))


def recognises(place: Path) -> bool:
    """Whether `place` looks like an ONNX file, or like the folder of a voice in two parts."""
    return place.suffix == ".onnx" if place.is_file() else (place / ENCODER).is_file()


def play(place: Path, device: torch.device) -> PlayedVoice:
    """Make an exported voice ready to speak.

    Raises UserError where onnxruntime is not installed, and for files that are damaged, missing or no
    voice.
    """
    if place.is_file():
        settings = read_settings(settings_beside(place))
        synthesizer = OnnxSynthesizer(_Graph(place, device, needs=_TEXT), settings)
    else:
        settings = read_settings(place / SETTINGS)
        synthesizer = StreamingOnnxSynthesizer(
            _Graph(place / ENCODER, device, needs=_TEXT),
            _Graph(place / DECODER, device, needs=("latents",)),
            settings,
            margin=int(read_json(place / SETTINGS)[MARGIN]),
        )
    return PlayedVoice(
        description=_description(place, settings),
        vocabulary=settings.vocabulary,
        synthesizer=synthesizer,
    )


def _description(place: Path, settings: PiperSettings) -> VoiceDescription:
    return VoiceDescription(
        about=settings.about or About(name=place.stem, licence="not stated"),
        audio=settings.audio(hop_length=settings.hop_length or _USUAL_HOP),
        text=settings.text,
        controls=settings.controls,
    )


_TEXT = ("input", "input_lengths", "scales")


class _Graph:
    """An ONNX file that is ready to be run.

    inputs: the sizes of each input by name, a number where it is fixed.
    """

    def __init__(self, path: Path, device: torch.device, *, needs: tuple[str, ...]) -> None:
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # Errors: what it remarks on the file is nobody's business.
        if not path.is_file():
            raise UserError(f"{path} is missing.", hint="Copy the voice again, whole.")
        try:
            self._session = runtime.InferenceSession(
                str(path), options, providers=_providers(runtime, device)
            )
        # onnxruntime has many kinds of exceptions, without a common base.
        except Exception as error:
            raise UserError(f"{path} is no whole ONNX file: {error}") from error
        self.inputs = {one.name: one.shape for one in self._session.get_inputs()}
        missing = [name for name in needs if name not in self.inputs]
        if missing:
            raise UserError(
                f"{path} is no voice of VITS: it has no input {', '.join(missing)}, only "
                f"{', '.join(self.inputs)}."
            )

    def __call__(self, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Run it; what the graph does not take is left out."""
        taken = {name: value for name, value in feed.items() if name in self.inputs}
        results: list[NDArray[Any]] = self._session.run(None, taken)
        return results


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError("Speaking with ONNX files needs onnxruntime.", hint=_EXTRA) from error
    return onnxruntime


def _providers(runtime: Any, device: torch.device) -> list[str]:
    if device.type == "cpu":
        return ["CPUExecutionProvider"]
    provider = f"{device.type.upper()}ExecutionProvider"
    if provider not in runtime.get_available_providers():
        raise UserError(
            f"This onnxruntime cannot compute on {device.type}.",
            hint="For CUDA install onnxruntime-gpu in its place, or leave out --device.",
        )
    return [provider, "CPUExecutionProvider"]


class OnnxSynthesizer:
    """Speaks through one graph, sentence by sentence.

    Files that Piper exported take no seed: what is random there is so each time.
    """

    controls = OnnxControls

    def __init__(self, graph: _Graph, settings: PiperSettings) -> None:
        self._graph = graph
        self._hop_length = settings.hop_length or _USUAL_HOP

    def synthesize(self, text: TextBatch, controls: OnnxControls) -> Speech:
        """Say some sentences: waveform [B, N], and the frames of each id where the file tells them."""
        said = [self._say(row, controls) for row in _rows(text)]
        waveforms, durations = zip(*said, strict=True)
        return Speech(
            waveform=nn.utils.rnn.pad_sequence(list(waveforms), batch_first=True),
            lengths=torch.tensor([len(waveform) for waveform in waveforms]),
            durations=(
                None
                if any(row is None for row in durations)
                else nn.utils.rnn.pad_sequence(list(durations), batch_first=True)
            ),
        )

    def _say(self, text: TextBatch, controls: OnnxControls) -> tuple[Tensor, Tensor | None]:
        """One sentence: samples [N], and frames [T] of its ids."""
        waveform, *rest = self._graph(self._feed(text, controls))
        durations = torch.from_numpy(rest[0]).reshape(-1).long() if rest else None
        return torch.from_numpy(waveform).reshape(-1), durations

    def _feed(self, text: TextBatch, controls: OnnxControls) -> Feed:
        """What one sentence is to the graph."""
        scales = [controls.noise_scale, controls.length_scale, controls.noise_scale_duration]
        if not isinstance(self._graph.inputs["scales"][0], int):
            scales.append(text.seeds[0] % _SEEDS)
        return {
            "input": text.ids.cpu().numpy(),
            "input_lengths": text.lengths.cpu().numpy(),
            "scales": np.array(scales, dtype=np.float32),
            "sid": text.speakers.cpu().numpy(),
        }


class StreamingOnnxSynthesizer(OnnxSynthesizer):
    """Speaks through two graphs: the second is run chunk by chunk.

    margin: how many frames before and after it decide a frame's samples.
    """

    def __init__(
        self, encoder: _Graph, decoder: _Graph, settings: PiperSettings, *, margin: int
    ) -> None:
        super().__init__(encoder, settings)
        self._decoder = decoder
        self._margin = margin

    def stream(self, text: TextBatch, controls: OnnxControls) -> Iterator[Tensor]:
        """Say one sentence (B = 1) in chunks [N]."""
        feed = self._feed(text, controls)
        latents, _ = self._graph(feed)
        yield from self._chunks(latents, feed)

    def _say(self, text: TextBatch, controls: OnnxControls) -> tuple[Tensor, Tensor | None]:
        feed = self._feed(text, controls)
        latents, durations = self._graph(feed)
        waveform = torch.cat(list(self._chunks(latents, feed)))
        return waveform, torch.from_numpy(durations).reshape(-1)

    def _chunks(self, latents: NDArray[np.float32], feed: Feed) -> Iterator[Tensor]:
        decoder = _ChunkDecoder(self._decoder, feed, self._margin, self._hop_length)
        whole = Latents(
            values=torch.from_numpy(latents),
            lengths=torch.tensor([latents.shape[2]]),
            speaker=None,
        )
        start = 0
        for size in chunk_sizes(latents.shape[2]):
            yield decode_chunk(decoder, whole, start, start + size)
            start += size


class _ChunkDecoder:
    """The second graph with the face of `Decoder`, for the speaker of one sentence."""

    def __init__(self, graph: _Graph, feed: Feed, margin: int, hop_length: int) -> None:
        self.margin = margin
        self.hop_length = hop_length
        self._graph = graph
        self._feed = feed

    def __call__(self, latent: Tensor, mask: None, speaker: Tensor | None) -> Tensor:
        """latent [1, C, F] -> waveform [1, N]; the speaker is in the feed."""
        waveform = self._graph(self._feed | {"latents": latent.numpy()})[0]
        return torch.from_numpy(waveform).reshape(1, -1)


def _rows(text: TextBatch) -> Iterator[TextBatch]:
    """Each sentence by itself, without padding."""
    for row, length in enumerate(text.lengths.tolist()):
        one = slice(row, row + 1)
        yield evolve(
            text,
            ids=text.ids[one, :length],
            lengths=text.lengths[one],
            speakers=text.speakers[one],
            languages=text.languages[one],
            seeds=text.seeds[one],
        )
