"""Reading and writing audio files. N samples, C channels.

Conversions applied while reading (downmixing, resampling) are recorded in `Audio.notes`.
"""

from __future__ import annotations

import io
import logging
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from allophone.audio.wav import pcm16, wav_header
from allophone.errors import UserError
from allophone.files.atomic import atomic_write
from allophone.files.regular import why_not_a_file

_log = logging.getLogger(__name__)

_WRITTEN = (".wav", ".flac")
_FULL_SCALE = 32768
_UNKNOWN_SIZE = 2**31 - 2**16
_NO_END = "lacks an end-of-stream bit"
"""What libsndfile logs of Ogg files that were cut off."""

# Telephony files have no header: always 16 kHz, one channel.
_TELEPHONE_RATE = 16000


@frozen(kw_only=True, eq=False)
class Audio:
    """A mono recording: samples [N] float32 in [-1, 1].

    notes: the conversions applied while reading, such as "mixed 2 channels into one".
    peak: the largest absolute value in the file, before channels are mixed; above 1 is beyond full scale.
    missing_seconds: how much of what was asked for, or of what the file says that it holds, is not there.
    unfinished: whether the file ends without the mark of its format for the end (Ogg), and was read to there;
        how much is missing cannot be told. MP3 without a stated length has no such mark.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    notes: tuple[str, ...] = ()
    peak: float = 0.0
    missing_seconds: float = 0.0
    unfinished: bool = False

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / self.sample_rate


def read_audio(
    path: str | Path,
    *,
    sample_rate: int | None = None,
    start: float | None = None,
    end: float | None = None,
) -> Audio:
    """Read a recording, or the part of it between `start` and `end` (seconds), as mono float32.

    Reads every format that libsndfile supports (WAV, FLAC, Ogg, MP3, AIFF, ...) and the headerless
    telephony formats `.sln16` and `.g722` (needs `allophone[g722]`). Multiple channels are averaged. If
    `sample_rate` is given, the recording is resampled to it (soxr, high quality).

    Raises:
        UserError: the file is missing, unreadable, empty or shorter than `start`, or contains NaN or
            infinite samples.
    """
    for name, seconds in (("start", start), ("end", end)):
        if seconds is not None and not math.isfinite(seconds):
            raise UserError(
                f"The {name} of a part of {path} must be a finite number, not {seconds}"
            )
    path = Path(path)
    if not os.path.exists(path):
        raise UserError(f"There is no recording {path}")
    if wrong := why_not_a_file(path):
        raise UserError(f"There is no recording: {wrong}")
    if path.suffix.lower() in (".g722", ".sln16"):
        channels, rate = _read_telephony(path, start, end), _TELEPHONE_RATE
        stated = len(channels) + round((start or 0.0) * rate)
        unfinished = False
    else:
        channels, rate, stated, unfinished = _read_file(path, start, end)
    if not len(channels):
        raise UserError(f"The recording {path} has no samples{_between(start, end)}")
    if not np.isfinite(channels).all():
        raise UserError(f"The recording {path} contains NaN or infinite samples")
    until = end if end is not None else stated / rate
    missing = max(0.0, until - (start or 0.0) - len(channels) / rate)
    peak = float(max(channels.max(), -channels.min()))
    notes = []
    samples = channels[:, 0]
    if channels.shape[1] > 1:
        samples = channels.mean(axis=1)
        notes.append(f"mixed {channels.shape[1]} channels into one")
    if sample_rate is not None and sample_rate != rate:
        samples = resample(samples, rate, sample_rate)
        notes.append(f"resampled from {rate} to {sample_rate} Hz")
        rate = sample_rate
    return Audio(
        samples=np.ascontiguousarray(samples),
        sample_rate=rate,
        notes=tuple(notes),
        peak=peak,
        missing_seconds=missing,
        unfinished=unfinished and end is None,
    )


def resample(samples: NDArray[np.float32], rate: int, to: int) -> NDArray[np.float32]:
    """Samples [N] at another rate, Hz (soxr, high quality); the same array where it is the rate they have."""
    if rate == to:
        return samples
    import soxr

    resampled: NDArray[np.float32] = soxr.resample(samples, rate, to)
    return resampled


def write_audio(path: str | Path, samples: NDArray[np.float32], sample_rate: int) -> int:
    """Write samples [N] atomically as 16-bit WAV or FLAC, depending on the extension of `path`.

    Samples outside [-1, 1] are clipped, and a warning with their number is logged.

    Returns:
        The number of clipped samples.

    Raises:
        UserError: another extension, or samples that are not a 1-D array of finite floats.
    """
    path = Path(path)
    if path.suffix.lower() not in _WRITTEN:
        raise UserError(
            f"Cannot write {path}: unsupported file extension '{path.suffix}'",
            hint=f"Use one of {', '.join(_WRITTEN)}.",
        )
    samples = np.asarray(samples)
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise UserError(
            f"Cannot write {path}: expected float samples [N], "
            f"got {samples.dtype} {list(samples.shape)}"
        )
    if not np.isfinite(samples).all():
        raise UserError(f"Cannot write {path}: the samples contain NaN or infinity")
    clipped = int((np.abs(samples) > 1).sum())
    if clipped:
        _log.warning("%s: clipped %d of %d samples", path, clipped, len(samples))
    integers = pcm16(samples)
    with atomic_write(path) as file:
        if path.suffix.lower() == ".wav":
            file.write(wav_header(sample_rate, samples=len(integers)) + integers.tobytes())
        else:
            import soundfile

            # libsndfile prints a traceback of its own where it cannot write.
            encoded = io.BytesIO()
            soundfile.write(encoded, integers, sample_rate, format="FLAC", subtype="PCM_16")
            file.write(encoded.getbuffer())
    return clipped


def _read_file(
    path: Path, start: float | None, end: float | None
) -> tuple[NDArray[np.float32], int, int, bool]:
    """Read samples [N, C] and the sample rate; how many frames the file says that it holds, and whether it lacks
    its end."""
    # Imported here: writing WAV files needs neither soundfile nor soxr.
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            first, last = _sample_range(file.frames, file.samplerate, start, end)
            # Seeking fails for files that are not seekable, even to the current position.
            if first:
                file.seek(first)
            samples = file.read(last - first, dtype="float32", always_2d=True)
            stated, unfinished = _stated_frames(file), _NO_END in file.extra_info
            return np.asarray(samples, dtype=np.float32), file.samplerate, stated, unfinished
    except (soundfile.SoundFileError, OSError) as error:
        raise UserError(
            f"Cannot read the recording {path}: {error}",
            hint="It may be damaged or in a format that libsndfile does not support; convert it to WAV "
            "or FLAC.",
        ) from error


def _stated_frames(file: Any) -> int:
    """The frames that the header of a file says it has: more than there are where it was cut off.

    libsndfile corrects what the header says, and tells of it in its log: "data : 320000 (should be 159981)".
    """
    frames = int(file.frames)
    for stated, there in re.findall(r": (\d+) \(should be (\d+)\)", file.extra_info):
        # Programs that write to a pipe do not know the size, and write the largest that there is.
        if 0 < int(there) < int(stated) < _UNKNOWN_SIZE:
            frames = max(frames, round(file.frames * int(stated) / int(there)))
    return frames


def _read_telephony(path: Path, start: float | None, end: float | None) -> NDArray[np.float32]:
    """Read samples [N, 1] at 16 kHz."""
    content = path.read_bytes()
    if path.suffix.lower() == ".sln16":
        integers = np.frombuffer(content[: len(content) // 2 * 2], dtype="<i2")
    else:
        try:
            from G722 import G722
        except ImportError as error:
            raise UserError(
                f"Reading {path} needs the package G722", hint="pip install 'allophone[g722]'"
            ) from error
        integers = np.asarray(G722(_TELEPHONE_RATE, 64000).decode(content), dtype=np.int16)
    first, last = _sample_range(len(integers), _TELEPHONE_RATE, start, end)
    return integers[first:last, None].astype(np.float32) / np.float32(_FULL_SCALE)


def _sample_range(
    total: int, sample_rate: int, start: float | None, end: float | None
) -> tuple[int, int]:
    first = 0 if start is None else min(total, max(0, round(start * sample_rate)))
    last = total if end is None else min(total, round(end * sample_rate))
    return first, max(first, last)


def _between(start: float | None, end: float | None) -> str:
    if start is None and end is None:
        return ""
    return f" from {start or 0:g} s to {'its end' if end is None else f'{end:g} s'}"
