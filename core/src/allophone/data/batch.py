"""What a training step is given.

B batch, L longest length of a feature in the batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from attrs import evolve, frozen
from torch import Tensor


@frozen(kw_only=True)
class Padded:
    """Arrays of different lengths in one tensor: values [B, L, ...], zero past lengths [B] (int64)."""

    values: Tensor
    lengths: Tensor

    def mask(self) -> Tensor:
        """Which positions are real: bool [B, L]."""
        positions = torch.arange(self.values.shape[1], device=self.lengths.device)
        return positions < self.lengths[:, None]

    def rows(self, chosen: slice) -> Padded:
        """Some of the rows, without the padding that only the others needed; one at least."""
        lengths = self.lengths[chosen]
        return Padded(values=self.values[chosen, : int(lengths.max())], lengths=lengths)

    def pin_memory(self) -> Padded:
        """The same in memory that a GPU can fetch from while the CPU goes on."""
        return Padded(values=self.values.pin_memory(), lengths=self.lengths.pin_memory())

    def to(self, device: torch.device) -> Padded:
        """The same on another device."""
        return Padded(
            values=self.values.to(device, non_blocking=True),
            lengths=self.lengths.to(device, non_blocking=True),
        )


@frozen(kw_only=True)
class Batch:
    """Some utterances, as the features that the experiment's `[features]` table names.

    ids: the utterances, for error messages.
    features: what the objective asked for, such as "waveform" [B, N] float32 and "phonemes" [B, T]
        int64 (symbols arrive as the ids of the run's table, blanks included).
    speakers, languages: their ids [B] int64.
    audio_seconds: how much speech this is, padding not counted.
    """

    ids: tuple[str, ...]
    features: Mapping[str, Padded]
    speakers: Tensor
    languages: Tensor
    audio_seconds: float

    def __getitem__(self, feature: str) -> Padded:
        return self.features[feature]

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, chosen: slice) -> Batch:
        """Some of the utterances, as a batch of their own; one at least.

        Their `audio_seconds` is their share of them by number.
        """
        ids = self.ids[chosen]
        return evolve(
            self,
            ids=ids,
            features={name: padded.rows(chosen) for name, padded in self.features.items()},
            speakers=self.speakers[chosen],
            languages=self.languages[chosen],
            audio_seconds=self.audio_seconds * len(ids) / len(self),
        )

    def pin_memory(self) -> Batch:
        """The same in memory that a GPU can fetch from; called by PyTorch's DataLoader."""
        return evolve(
            self,
            features={name: padded.pin_memory() for name, padded in self.features.items()},
            speakers=self.speakers.pin_memory(),
            languages=self.languages.pin_memory(),
        )

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return evolve(
            self,
            features={name: padded.to(device) for name, padded in self.features.items()},
            speakers=self.speakers.to(device, non_blocking=True),
            languages=self.languages.to(device, non_blocking=True),
        )
