"""Encoders: samples of a voice to the bytes of an audio format, chunk by chunk.

An encoder lives as long as a response, so that neither chunks nor sentences click at their edges. N samples.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from attrs import Factory, frozen
from numpy.typing import NDArray

from allophone.audio.wav import pcm16, wav_header
from allophone.synthesis.engine import Samples

PCM_RATE = 24000
"""The rate of the format `pcm`, which has no header to state it."""

_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


class Encoder(Protocol):
    """Takes samples [N] in [-1, 1] at the voice's rate, returns the bytes that are complete."""

    def encode(self, samples: Samples) -> bytes: ...

    def finish(self) -> bytes:
        """The last bytes; nothing may be encoded afterwards."""
        ...


@frozen(kw_only=True)
class Format:
    """How a format is made by FFmpeg's libraries.

    container, codec: FFmpeg's names; empty for formats without compression.
    rates: the rates that the codec takes, Hz; empty if it takes all.
    options, stream_options: options of the container; the latter of streams only.
    """

    media_type: str
    container: str = ""
    codec: str = ""
    rates: tuple[int, ...] = ()
    bit_rate: int = 0
    options: Mapping[str, str] = Factory(dict)
    stream_options: Mapping[str, str] = Factory(dict)


FORMATS = {
    "mp3": Format(
        media_type="audio/mpeg",
        container="mp3",
        codec="libmp3lame",
        rates=_MPEG_RATES,
        bit_rate=64_000,
        # No tag with the name of the encoder before the audio.
        options={"id3v2_version": "0"},
    ),
    "opus": Format(
        media_type="audio/ogg",
        container="ogg",
        codec="libopus",
        rates=(48000,),
        bit_rate=48_000,
        # By default, a second is collected in a page, and the first would be that late.
        stream_options={"page_duration": "20000"},
    ),
    "aac": Format(
        media_type="audio/aac",
        container="adts",
        codec="aac",
        rates=_MPEG_RATES,
        bit_rate=64_000,
    ),
    "flac": Format(media_type="audio/flac", container="flac", codec="flac"),
    "wav": Format(media_type="audio/wav"),
    "pcm": Format(media_type="audio/pcm"),
}


def make_encoder(name: str, rate: int, *, whole: bool = False) -> Encoder:
    """An encoder of the format `name` for samples at `rate` Hz.

    whole: return all bytes from `finish`, with the true length in the header. Otherwise the header says that
        the length is unknown.
    """
    if name == "pcm":
        return _Pcm(rate)
    if name == "wav":
        return _WholeWav(rate) if whole else _StreamedWav(rate)
    return _Compressed(FORMATS[name], rate, whole=whole)


class Resampler:
    """Resamples a stream (soxr, high quality)."""

    def __init__(self, rate: int, to: int) -> None:
        self._stream: Any = None
        if rate != to:
            import soxr

            self._stream = soxr.ResampleStream(rate, to, 1, dtype="float32")

    def __call__(self, samples: Samples, *, last: bool = False) -> Samples:
        """The samples that are ready [N]; with `last`, all that are left."""
        if self._stream is None:
            return samples
        resampled: Samples = self._stream.resample_chunk(samples, last=last)
        return resampled


_NOTHING = np.zeros(0, dtype=np.float32)


class _Pcm:
    def __init__(self, rate: int) -> None:
        self._resample = Resampler(rate, PCM_RATE)

    def encode(self, samples: Samples) -> bytes:
        return pcm16(self._resample(samples)).tobytes()

    def finish(self) -> bytes:
        return pcm16(self._resample(_NOTHING, last=True)).tobytes()


class Raw:
    """16-bit little-endian samples at the voice's rate, without a header."""

    def encode(self, samples: Samples) -> bytes:
        return pcm16(samples).tobytes()

    def finish(self) -> bytes:
        return b""


class _StreamedWav:
    def __init__(self, rate: int) -> None:
        self._header = wav_header(rate, samples=None)

    def encode(self, samples: Samples) -> bytes:
        header, self._header = self._header, b""
        return header + pcm16(samples).tobytes()

    def finish(self) -> bytes:
        return b""


class _WholeWav:
    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._samples: list[NDArray[np.int16]] = []

    def encode(self, samples: Samples) -> bytes:
        self._samples.append(pcm16(samples))
        return b""

    def finish(self) -> bytes:
        samples = np.concatenate(self._samples)
        return wav_header(self._rate, samples=len(samples)) + samples.tobytes()


class _Compressed:
    """Encodes with FFmpeg's libraries, which the wheels of PyAV contain."""

    def __init__(self, form: Format, rate: int, *, whole: bool) -> None:
        # Imported here: half a second.
        import av

        supported = [one for one in form.rates if one >= rate] or form.rates[-1:] or [rate]
        self._rate = supported[0]
        self._resample = Resampler(rate, self._rate)
        self._out: Any = io.BytesIO() if whole else _Outlet()
        self._whole = whole
        options = dict(form.options if whole else {**form.options, **form.stream_options})
        self._container = av.open(self._out, "w", format=form.container, container_options=options)
        stream = self._container.add_stream(form.codec, rate=self._rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        if form.bit_rate:
            stream.bit_rate = form.bit_rate
        self._stream = stream
        self._written = 0

    def encode(self, samples: Samples) -> bytes:
        self._write(self._resample(samples))
        return b"" if self._whole else self._out.take()

    def finish(self) -> bytes:
        self._write(self._resample(_NOTHING, last=True))
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._out.getvalue() if self._whole else self._out.take()

    def _write(self, samples: Samples) -> None:
        import av

        if not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(pcm16(samples)[None], format="s16", layout="mono")
        frame.sample_rate = self._rate
        frame.pts = self._written
        self._written += len(samples)
        self._container.mux(self._stream.encode(frame))


class _Outlet:
    """A file that cannot seek, from which what was written is taken."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken
