"""Interface of codecs.

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
    """Encoded waveforms: codes [B, Q, F] int64, zero past lengths [B] in frames."""

    codes: Tensor
    lengths: Tensor


@frozen(kw_only=True)
class CodecFormat:
    """Format of a codec's codes; codecs with equal formats have interchangeable codes.

    bins: number of entries per codebook.
    fingerprint: identifies the codec, including its weights.
    """

    sample_rate: int
    hop_length: int
    codebooks: int
    bins: int
    fingerprint: str

    def frames(self, samples: Tensor) -> Tensor:
        """Number of frames of a number of samples, rounded up."""
        return torch.div(samples + self.hop_length - 1, self.hop_length, rounding_mode="floor")


class Codec(Protocol):
    """Encodes waveforms to codes and decodes them; a row's result does not depend on the batch.

    The properties are those of `CodecFormat`.
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
        """Encode waveform [B, N] float32 at `sample_rate`, lengths [B] in samples.

        The number of frames is the number of samples over `hop_length`, rounded up.
        """
        ...

    def decode(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Decode codes [B, Q, F] with lengths [B] in frames -> [B, F * hop_length], zero past the lengths.

        Codes of the first codebooks alone give a coarser waveform.
        """
        ...


def zero_padding(values: Tensor, lengths: Tensor) -> Tensor:
    """Zero values [B, ..., L] past lengths [B]."""
    inside = torch.arange(values.size(-1), device=values.device) < lengths[:, None]
    return torch.where(inside if values.ndim == 2 else inside.unsqueeze(1), values, 0)


def check_audio(codec: Codec | CodecFormat, audio: MelSpec) -> None:
    """Raise ConfigError unless `[audio]` has the codec's sample rate and hop length."""
    expected = {"sample_rate": codec.sample_rate, "hop_length": codec.hop_length}
    mismatches = {name: value for name, value in expected.items() if getattr(audio, name) != value}
    if mismatches:
        raise ConfigError(
            "[audio] does not fit the codec: "
            + ", ".join(
                f"{name} is {getattr(audio, name)}, expected {value}"
                for name, value in mismatches.items()
            ),
            hint="Set "
            + " and ".join(f"audio.{name} = {value}" for name, value in mismatches.items()),
        )


def encode_in_batches(
    codec: Codec, waveforms: Sequence[Tensor], *, batch_seconds: float
) -> list[Tensor]:
    """Encode waveforms [N] in length buckets; returns the codes [Q, F] of each.

    batch_seconds: maximum audio per batch, including padding; a longer waveform is encoded alone.
    """
    codes: dict[int, Tensor] = {}
    max_samples = int(batch_seconds * codec.sample_rate)
    for indices in _length_buckets([len(waveform) for waveform in waveforms], max_samples):
        rows = [waveforms[index] for index in indices]
        lengths = torch.tensor([len(row) for row in rows], device=rows[0].device)
        encoded = codec.encode(pad_sequence(rows, batch_first=True), lengths)
        frames = encoded.lengths.tolist()
        codes |= {
            index: row[:, :count]
            for index, row, count in zip(indices, encoded.codes, frames, strict=True)
        }
    return [codes[index] for index in range(len(waveforms))]


def _length_buckets(lengths: Sequence[int], max_samples: int) -> Iterator[list[int]]:
    """Yield batches of indices, sorted by length, of at most `max_samples` samples including padding."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[index] > max_samples:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
