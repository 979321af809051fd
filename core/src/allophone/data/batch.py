"""Batches of utterances, the input of a training step.

Shapes: B batch, L longest length of a feature in the batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from attrs import evolve, frozen
from torch import Tensor


@frozen(kw_only=True)
class Padded:
    """Sequences of different lengths in one tensor: values [B, L, ...], zero past lengths [B] int64."""

    values: Tensor
    lengths: Tensor

    def mask(self) -> Tensor:
        """Return the mask [B, L] bool, true at positions that are not padding."""
        positions = torch.arange(self.values.shape[1], device=self.lengths.device)
        return positions < self.lengths[:, None]

    def rows(self, chosen: slice) -> Padded:
        """Select at least one row, without padding that only the other rows need."""
        lengths = self.lengths[chosen]
        return Padded(values=self.values[chosen, : int(lengths.max())], lengths=lengths)

    def pin_memory(self) -> Padded:
        """Copy to pinned memory, for asynchronous transfer to a GPU."""
        return Padded(values=self.values.pin_memory(), lengths=self.lengths.pin_memory())

    def to(self, device: torch.device) -> Padded:
        """Move to a device."""
        return Padded(
            values=self.values.to(device, non_blocking=True),
            lengths=self.lengths.to(device, non_blocking=True),
        )


@frozen(kw_only=True)
class Batch:
    """A batch of utterances with their features.

    ids: utterance ids, for error messages.
    features: the features that the objective requires, by their name in `[features]`, such as "waveform"
        [B, N] float32 and "phonemes" [B, T] int64 (symbol ids, including blanks).
    speakers, languages: ids [B] int64.
    audio_seconds: total duration without padding.
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
        """Select at least one utterance; `audio_seconds` is divided in proportion to their number."""
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
        """Copy to pinned memory; called by PyTorch's DataLoader."""
        return evolve(
            self,
            features={name: padded.pin_memory() for name, padded in self.features.items()},
            speakers=self.speakers.pin_memory(),
            languages=self.languages.pin_memory(),
        )

    def to(self, device: torch.device) -> Batch:
        """Move to a device."""
        return evolve(
            self,
            features={name: padded.to(device) for name, padded in self.features.items()},
            speakers=self.speakers.to(device, non_blocking=True),
            languages=self.languages.to(device, non_blocking=True),
        )
