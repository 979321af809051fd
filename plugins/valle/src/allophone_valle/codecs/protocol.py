"""What a codec is.

Legend: B batch, N samples, Q codebooks, F frames of codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from attrs import frozen
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from allophone.audio.melspec import MelSpec
from allophone.errors import ConfigError


@frozen(kw_only=True)
class Codes:
    """What waveforms are in a codec's terms: codes [B, Q, F] int64, zero past lengths [B] (frames)."""

    codes: Tensor
    lengths: Tensor


@frozen(kw_only=True)
class CodecFormat:
    """What two codecs must have in common for their codes to mean the same.

    bins: how many values a code of any of the codebooks may have.
    fingerprint: what tells the codec from any other, its weights included.
    """

    sample_rate: int
    hop_length: int
    codebooks: int
    bins: int
    fingerprint: str

    def frames(self, samples: Tensor) -> Tensor:
        """Frames of so many samples: the last one may be filled up with silence."""
        return torch.div(samples + self.hop_length - 1, self.hop_length, rounding_mode="floor")


class Codec(Protocol):
    """Waveforms to codes and back, each row of a batch as it would be alone.

    What it says of itself is its `CodecFormat`.
    """

    @property
    def sample_rate(self) -> int: ...

    @property
    def hop_length(self) -> int: ...

    @property
    def codebooks(self) -> int: ...

    @property
    def bins(self) -> int: ...

    @property
    def fingerprint(self) -> str: ...

    def encode(self, waveform: Tensor, lengths: Tensor) -> Codes:
        """waveform [B, N] float32 at `sample_rate`, lengths [B] in samples; a frame for each
        `hop_length` samples that have begun."""
        ...

    def decode(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """codes [B, Q, F] and lengths [B] in frames to a waveform [B, F * hop_length], zero past them.

        Of fewer codebooks than there are, the first ones, a coarser waveform is made.
        """
        ...


def kept(values: Tensor, lengths: Tensor) -> Tensor:
    """values [B, ..., L] with zeros past lengths [B]."""
    inside = torch.arange(values.size(-1), device=values.device) < lengths[:, None]
    return torch.where(inside if values.ndim == 2 else inside.unsqueeze(1), values, 0)


def check_audio(codec: Codec | CodecFormat, audio: MelSpec) -> None:
    """ConfigError unless `[audio]` has the codec's sample rate, and a frame for each of its frames."""
    wanted = {"sample_rate": codec.sample_rate, "hop_length": codec.hop_length}
    wrong = {name: value for name, value in wanted.items() if getattr(audio, name) != value}
    if wrong:
        raise ConfigError(
            "[audio] does not fit the codec: "
            + ", ".join(
                f"{name} is {getattr(audio, name)}, not {value}" for name, value in wrong.items()
            ),
            hint="Set " + " and ".join(f"audio.{name} = {value}" for name, value in wrong.items()),
        )


def encode_separately(
    codec: Codec, waveforms: Sequence[Tensor], *, batch_seconds: float
) -> list[Tensor]:
    """The codes [Q, F] of each of some waveforms [N], encoded in batches of like length.

    batch_seconds: how long a batch may be, padding counted, unless a single waveform is longer.
    """
    codes: dict[int, Tensor] = {}
    most = int(batch_seconds * codec.sample_rate)
    for chosen in _alike([len(waveform) for waveform in waveforms], most):
        rows = [waveforms[index] for index in chosen]
        lengths = torch.tensor([len(row) for row in rows], device=rows[0].device)
        encoded = codec.encode(pad_sequence(rows, batch_first=True), lengths)
        frames = encoded.lengths.tolist()
        codes |= {
            index: row[:, :count]
            for index, row, count in zip(chosen, encoded.codes, frames, strict=True)
        }
    return [codes[index] for index in range(len(waveforms))]


def _alike(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Indices by length, as many at a time as have no more than `most` samples together, padded."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[index] > most:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
