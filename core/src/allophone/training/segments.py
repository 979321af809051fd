"""Training segments for vocoders: pairs of a mel and its waveform.

Shapes: B batch, C channels, L frames or samples, M mel bands, F frames, N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import torch
from attrs import frozen
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_spectrogram
from allophone.data.batch import Batch
from allophone.data.manifest import Dropped
from allophone.errors import ConfigError
from allophone.events import SampleAudio, SampleImage

Starts = Callable[[Tensor, int], Tensor]
"""Maps lengths [B] and a segment size to the start [B] of a segment in each row."""


def random_starts(lengths: Tensor, size: int) -> Tensor:
    """Return random starts [B] of segments in rows of lengths [B]; 0 for rows shorter than a segment."""
    choices = (lengths - size).clamp_min(0) + 1
    return (torch.rand(lengths.shape, device=lengths.device) * choices).long()


def middle_starts(lengths: Tensor, size: int) -> Tensor:
    """Return the starts [B] of centered segments in rows of lengths [B]; 0 for shorter rows."""
    return (lengths - size).clamp_min(0) // 2


def slice_segments(
    values: Tensor, lengths: Tensor, starts: Tensor, size: int, *, padding: float | Tensor = 0.0
) -> Tensor:
    """Slice values[b, :, starts[b] : starts[b] + size] from each row: [B, C, L] -> [B, C, size].

    padding: value for positions beyond lengths [B], a number or one per channel [C, 1].
    """
    position = starts[:, None] + torch.arange(size, device=starts.device)
    last = values.size(2) - 1
    sliced = values.gather(2, position.clamp_max(last).unsqueeze(1).expand(-1, values.size(1), -1))
    return torch.where((position < lengths[:, None]).unsqueeze(1), sliced, padding)


def silence_mel(audio: MelSpec) -> Tensor:
    """Return one mel frame of silence, [M, 1]."""
    return mel_spectrogram(torch.zeros(1, audio.min_samples), audio)[0, :, :1]


@frozen(kw_only=True)
class Segments:
    """Segments of a batch: mel [B, M, F] (input) and waveform [B, F * hop_length] (target)."""

    mel: Tensor
    waveform: Tensor


@frozen(kw_only=True)
class FullUtterance:
    """One utterance of a batch: its recording [1, N], and the mel [1, M, F] for the vocoder's input."""

    id: str
    recorded: Tensor
    mel: Tensor


class Segmenter:
    """Cuts segments and their mels from batches of recordings.

    audio: mel settings.
    frames: length of a segment in frames.
    mels: "recorded" computes mels from the recordings; "predicted" uses the feature "mel", the predictions
        of an acoustic model aligned with the recordings (teacher forcing).
    peak: peak amplitude to normalize recordings to; None disables it. Not applied with predicted mels.
    Raises ConfigError if a segment of this many hops does not have `frames` frames.
    """

    def __init__(
        self,
        audio: MelSpec,
        *,
        frames: int,
        mels: Literal["recorded", "predicted"] = "recorded",
        peak: float | None = None,
    ) -> None:
        self.audio = audio
        self.frames = frames
        self.samples = frames * audio.hop_length
        self.predicted = mels == "predicted"
        self.features = ("waveform", "mel") if self.predicted else ("waveform",)
        self.peak = None if self.predicted else peak
        actual = audio.frames(self.samples)
        if self.samples < audio.min_samples or actual < frames:
            raise ConfigError(
                f"A segment of {self.samples} samples has {actual} frames by [audio], not {frames}",
                hint="Use longer segments, or settings with an even audio.n_fft - audio.hop_length.",
            )

    def reject(self, lengths: Mapping[str, int]) -> Dropped | None:
        """Reject utterances that are shorter than a frame, and predicted mels of another length.

        Utterances shorter than a segment are accepted; they are padded with silence.
        """
        samples = lengths["waveform"]
        if samples < self.audio.min_samples:
            return Dropped(
                reason="too short for a mel",
                detail=f"{samples} samples, {self.audio.min_samples} needed",
            )
        frames = self.audio.frames(samples)
        if self.predicted and lengths["mel"] != frames:
            return Dropped(
                reason="mel and recording of different lengths",
                detail=f"the mel has {lengths['mel']} frames, the recording {frames}",
            )
        return None

    def cut(self, batch: Batch, choose: Starts) -> Segments:
        """Cut a segment from each utterance, at the start that `choose` returns."""
        recordings = self._recordings(batch).unsqueeze(1)
        lengths = batch["waveform"].lengths
        size, frames = self.samples, self.frames
        if not self.predicted:
            waveform = slice_segments(recordings, lengths, choose(lengths, size), size).squeeze(1)
            # With centered frames there is one more frame than hops.
            return Segments(
                mel=mel_spectrogram(waveform, self.audio)[:, :, :frames], waveform=waveform
            )
        mel = batch["mel"]
        starts = choose(mel.lengths, frames)
        return Segments(
            mel=slice_segments(
                mel.values.transpose(1, 2),
                mel.lengths,
                starts,
                frames,
                padding=silence_mel(self.audio).to(mel.values.device),
            ),
            waveform=slice_segments(
                recordings, lengths, starts * self.audio.hop_length, size
            ).squeeze(1),
        )

    def full_utterances(self, batch: Batch) -> Iterator[FullUtterance]:
        """Yield the utterances of a batch one by one, in full length."""
        recordings = self._recordings(batch)
        for row, name in enumerate(batch.ids):
            recorded = recordings[row : row + 1, : int(batch["waveform"].lengths[row])]
            mel = mel_spectrogram(recorded, self.audio)
            if self.predicted:
                mel = batch["mel"].values[row : row + 1, : mel.size(2)].transpose(1, 2)
            yield FullUtterance(id=name, recorded=recorded, mel=mel)

    def make_samples(
        self, utterance: FullUtterance, waveform: Tensor
    ) -> dict[str, SampleAudio | SampleImage]:
        """Return samples to log: the vocoder's output, waveform [1, N], with its and the recording's mel."""

        def image(mel: Tensor) -> SampleImage:
            return SampleImage(values=mel[0].float().cpu().numpy())

        samples: dict[str, SampleAudio | SampleImage] = {
            f"{utterance.id}/audio": SampleAudio(
                samples=waveform[0].float().cpu().numpy(), sample_rate=self.audio.sample_rate
            ),
            f"{utterance.id}/mel": image(mel_spectrogram(waveform, self.audio)),
            f"{utterance.id}/recorded_mel": image(mel_spectrogram(utterance.recorded, self.audio)),
        }
        if self.predicted:
            samples[f"{utterance.id}/predicted_mel"] = image(utterance.mel)
        return samples

    def _recordings(self, batch: Batch) -> Tensor:
        """Return the waveforms [B, N], normalized to the same peak if configured."""
        waveform = batch["waveform"].values
        if self.peak is None:
            return waveform
        peaks = waveform.abs().amax(dim=1, keepdim=True)
        return waveform * torch.where(peaks > 0, self.peak / peaks, 1.0)
