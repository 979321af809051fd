"""Training HiFi-GAN, as section 2.4 of its paper says it.

Legend: B batch, M mel bands, F frames, N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_spectrogram
from allophone.config.experiment import Experiment
from allophone.data.batch import Batch
from allophone.data.dropped import Dropped
from allophone.data.vocabulary import Vocabulary
from allophone.events import SampleAudio, SampleImage
from allophone.training.objective import Metrics, OptimizerPlan, Runtime
from allophone.training.schedule import exponential
from allophone_hifigan.config import HifiganConfig, HifiganTrainerConfig, loss_audio
from allophone_hifigan.discriminators import Discriminators
from allophone_hifigan.generator import Generator
from allophone_hifigan.losses import adversarial_loss, discriminator_loss, feature_matching_loss
from allophone_hifigan.segments import middle_starts, pieces, random_starts

PEAK = 0.95


@frozen(kw_only=True)
class Segments:
    """A piece of each utterance: mel [B, M, F] to go in, waveform [B, N] to come out."""

    mel: Tensor
    waveform: Tensor


class HifiganObjective:
    """A generator, and discriminators that tell its waveforms from recorded ones."""

    def __init__(self, experiment: Experiment, vocabulary: Vocabulary) -> None:
        del vocabulary
        config, trainer = experiment.vocoder, experiment.trainer
        assert isinstance(config, HifiganConfig)
        assert isinstance(trainer, HifiganTrainerConfig)
        config.check_audio(experiment.audio)
        self.trainer = trainer
        self.audio = experiment.audio
        self.loss_audio = loss_audio(experiment.audio)
        self.segment_frames = trainer.segment_frames(self.audio)
        self.predicted = trainer.input_mels == "predicted"
        self.features = ("waveform", "mel") if self.predicted else ("waveform",)
        self.modules: Mapping[str, nn.Module] = {
            "generator": Generator(config, mels=self.audio.n_mels),
            "discriminator": Discriminators(trainer.discriminators),
        }

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        """AdamW for each of the two, with a rate that decays from epoch to epoch."""
        trainer = self.trainer
        return {
            name: OptimizerPlan(
                modules=(name,),
                optimizer=lambda parameters: torch.optim.AdamW(
                    parameters,
                    lr=trainer.learning_rate,
                    betas=trainer.betas,
                    eps=trainer.epsilon,
                    weight_decay=trainer.weight_decay,
                    fused=True,  # One pass through memory, on CPUs too.
                ),
                schedule=exponential(trainer.decay),
                per="epoch",
            )
            for name in self.modules
        }

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

    def train_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """The discriminators learn first, on what the generator makes now; then the generator."""
        segments = self._segments(batch, random_starts)
        recorded = segments.waveform
        with rt.autocast():
            generated = rt["generator"](segments.mel)
            judgements = rt["discriminator"](torch.cat([recorded, generated.detach()]))
        halves = [judgement.halves() for judgement in judgements]
        loss = discriminator_loss(*zip(*halves, strict=True))
        rt.update("discriminator", loss)

        with rt.frozen("discriminator"), rt.autocast():
            # What is recorded is no target to be moved: gradients need not go through it.
            with torch.no_grad():
                of_recorded = rt["discriminator"](recorded)
            of_generated = rt["discriminator"](generated)
        losses = {
            "adversarial": adversarial_loss(of_generated),
            "feature": feature_matching_loss(of_recorded, of_generated),
            "mel": self._mel_loss(generated, recorded),
        }
        total = (
            losses["adversarial"]
            + self.trainer.feature_weight * losses["feature"]
            + self.trainer.mel_weight * losses["mel"]
        )
        rt.update("generator", total)
        return {
            "discriminator_loss": loss,
            "generator_loss": total,
            **{f"{name}_loss": value for name, value in losses.items()},
        }

    def eval_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """The mel loss of the segment in the middle of each utterance."""
        segments = self._segments(batch, middle_starts)
        with rt.autocast():
            generated = rt["generator"](segments.mel)
        return {"mel_loss": self._mel_loss(generated, segments.waveform)}

    def sample(self, rt: Runtime, batch: Batch) -> Mapping[str, SampleAudio | SampleImage]:
        """Each utterance from its mel, whole, and the mel of that beside the recording's."""
        recordings = self._recordings(batch)
        samples: dict[str, SampleAudio | SampleImage] = {}
        for row, name in enumerate(batch.ids):
            recorded = recordings[row : row + 1, : int(batch["waveform"].lengths[row])]
            recorded_mel = mel_spectrogram(recorded, self.audio)
            mel = recorded_mel
            if self.predicted:
                mel = batch["mel"].values[row : row + 1, : mel.size(2)].transpose(1, 2)
            with rt.autocast():
                waveform = self.modules["generator"](mel)
            samples |= {
                f"{name}/audio": SampleAudio(
                    samples=_numpy(waveform[0]), sample_rate=self.audio.sample_rate
                ),
                f"{name}/mel": SampleImage(values=_numpy(mel_spectrogram(waveform, self.audio)[0])),
                f"{name}/recorded_mel": SampleImage(values=_numpy(recorded_mel[0])),
            }
            if self.predicted:
                samples[f"{name}/predicted_mel"] = SampleImage(values=_numpy(mel[0]))
        return samples

    def _recordings(self, batch: Batch) -> Tensor:
        """The waveforms [B, N], each brought to the same peak, unless predicted mels belong to them."""
        waveform = batch["waveform"].values
        if self.predicted or not self.trainer.normalize_peaks:
            return waveform
        peaks = waveform.abs().amax(dim=1, keepdim=True)
        return waveform * torch.where(peaks > 0, PEAK / peaks, 1.0)

    def _segments(self, batch: Batch, choose: Callable[[Tensor, int], Tensor]) -> Segments:
        """A segment of each utterance, which begins where `choose` says: (lengths [B], size) -> [B]."""
        recordings = self._recordings(batch).unsqueeze(1)
        lengths = batch["waveform"].lengths
        size, frames = self.trainer.segment_size, self.segment_frames
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

    def _mel_loss(self, generated: Tensor, recorded: Tensor) -> Tensor:
        """The distance of mels, up to half the sample rate (equation 3)."""
        return functional.l1_loss(
            mel_spectrogram(generated, self.loss_audio), mel_spectrogram(recorded, self.loss_audio)
        )


def mel_of_silence(audio: MelSpec) -> Tensor:
    """One frame of it, [M, 1]."""
    return mel_spectrogram(torch.zeros(1, audio.min_samples), audio)[0, :, :1]


def _numpy(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.float().cpu().numpy()
    return array
