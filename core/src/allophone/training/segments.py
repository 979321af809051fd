"""What vocoders train on: pieces of utterances, as a mel to go in and the waveform to come out.

Legend: B batch, C channels, L frames or samples, M mel bands, F frames, N samples.
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
"""Where pieces of a size begin in rows of lengths [B]: [B]."""


def random_starts(lengths: Tensor, size: int) -> Tensor:
    """Where a piece of `size` begins, anywhere inside: lengths [B] -> [B]; 0 where there is no room."""
    choices = (lengths - size).clamp_min(0) + 1
    return (torch.rand(lengths.shape, device=lengths.device) * choices).long()


def middle_starts(lengths: Tensor, size: int) -> Tensor:
    """Where the piece of `size` in the middle begins: lengths [B] -> [B]; 0 where there is no room."""
    return (lengths - size).clamp_min(0) // 2


def pieces(
    values: Tensor, lengths: Tensor, starts: Tensor, size: int, *, past: float | Tensor = 0.0
) -> Tensor:
    """values[b, :, starts[b] : starts[b] + size] of each row: [B, C, L] -> [B, C, size].

    past: what stands for what lies beyond lengths [B], a number or one for each channel [C, 1].
    """
    position = starts[:, None] + torch.arange(size, device=starts.device)
    last = values.size(2) - 1
    taken = values.gather(2, position.clamp_max(last).unsqueeze(1).expand(-1, values.size(1), -1))
    return torch.where((position < lengths[:, None]).unsqueeze(1), taken, past)


def mel_of_silence(audio: MelSpec) -> Tensor:
    """One frame of it, [M, 1]."""
    return mel_spectrogram(torch.zeros(1, audio.min_samples), audio)[0, :, :1]


@frozen(kw_only=True)
class Segments:
    """A piece of each utterance: mel [B, M, F] to go in, waveform [B, F * hop_length] to come out."""

    mel: Tensor
    waveform: Tensor


@frozen(kw_only=True)
class Whole:
    """One utterance of a batch: its recording [1, N], and the mel [1, M, F] that a vocoder is given."""

    id: str
    recorded: Tensor
    mel: Tensor


class Segmenter:
    """Cuts batches of recordings into segments with their mels.

    audio: of the mels.
    frames: of a segment.
    mels: "recorded" are analysed from the recordings; "predicted" are the feature "mel", what an acoustic
        model says in step with the recordings.
    peak: what recordings are brought to, or None to leave them as they are. Recordings that predicted
        mels belong to always are left so.
    Raises ConfigError where a segment is too short to have its frames.
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
        has = audio.frames(self.samples)
        if self.samples < audio.min_samples or has < frames:
            raise ConfigError(
                f"A segment of {self.samples} samples has {has} frames by [audio], not {frames}",
                hint="Take longer segments, or let audio.n_fft - audio.hop_length be even.",
            )

    def reject(self, lengths: Mapping[str, int]) -> Dropped | None:
        """What is shorter than a frame has no mel; predicted mels must be in step with recordings.

        Utterances that are shorter than a segment are followed by silence.
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
                detail=f"{lengths['mel']} frames of mel, {frames} of recording",
            )
        return None

    def cut(self, batch: Batch, choose: Starts) -> Segments:
        """A segment of each utterance, which begins where `choose` says."""
        recordings = self._recordings(batch).unsqueeze(1)
        lengths = batch["waveform"].lengths
        size, frames = self.samples, self.frames
        if not self.predicted:
            waveform = pieces(recordings, lengths, choose(lengths, size), size).squeeze(1)
            # Where a frame is centred on its first sample, there is one more than fits.
            return Segments(
                mel=mel_spectrogram(waveform, self.audio)[:, :, :frames], waveform=waveform
            )
        mel = batch["mel"]
        starts = choose(mel.lengths, frames)
        return Segments(
            mel=pieces(
                mel.values.transpose(1, 2),
                mel.lengths,
                starts,
                frames,
                past=mel_of_silence(self.audio).to(mel.values.device),
            ),
            waveform=pieces(recordings, lengths, starts * self.audio.hop_length, size).squeeze(1),
        )

    def wholes(self, batch: Batch) -> Iterator[Whole]:
        """The utterances one by one, uncut."""
        recordings = self._recordings(batch)
        for row, name in enumerate(batch.ids):
            recorded = recordings[row : row + 1, : int(batch["waveform"].lengths[row])]
            mel = mel_spectrogram(recorded, self.audio)
            if self.predicted:
                mel = batch["mel"].values[row : row + 1, : mel.size(2)].transpose(1, 2)
            yield Whole(id=name, recorded=recorded, mel=mel)

    def shown(self, whole: Whole, waveform: Tensor) -> dict[str, SampleAudio | SampleImage]:
        """What a vocoder makes of an utterance, waveform [1, N], and its mel beside the recording's."""

        def image(mel: Tensor) -> SampleImage:
            return SampleImage(values=mel[0].float().cpu().numpy())

        shown: dict[str, SampleAudio | SampleImage] = {
            f"{whole.id}/audio": SampleAudio(
                samples=waveform[0].float().cpu().numpy(), sample_rate=self.audio.sample_rate
            ),
            f"{whole.id}/mel": image(mel_spectrogram(waveform, self.audio)),
            f"{whole.id}/recorded_mel": image(mel_spectrogram(whole.recorded, self.audio)),
        }
        if self.predicted:
            shown[f"{whole.id}/predicted_mel"] = image(whole.mel)
        return shown

    def _recordings(self, batch: Batch) -> Tensor:
        """The waveforms [B, N], each brought to the same peak where they are to be."""
        waveform = batch["waveform"].values
        if self.peak is None:
            return waveform
        peaks = waveform.abs().amax(dim=1, keepdim=True)
        return waveform * torch.where(peaks > 0, self.peak / peaks, 1.0)
