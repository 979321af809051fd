"""Training of a student decoder on what a teacher said.

The teacher's waveform is the target of its own latents, so there is nothing to align and no text to read:
a step decodes random segments of latents, and compares them with the same segments of the teacher's speech.

Legend: B batch, C latent channels, F frames, N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from torch import Tensor, nn

from allophone.audio.spectrogram import mel_spectrogram
from allophone.config.experiment import Experiment
from allophone.data.batch import Batch
from allophone.data.vocabulary import Vocabulary
from allophone.events import SampleAudio, SampleImage
from allophone.training.objective import Metrics, OptimizerPlan, Runtime
from allophone_vits.distillation.config import DistillTrainerConfig
from allophone_vits.model import Generator, Vits
from allophone_vits.segments import middle_starts, random_starts, slice_segments
from allophone_vocos.learning import DISCRIMINATOR, GENERATOR, WaveformLearning


class DecodesLatents(nn.Module):
    """Makes a `Generator` a student: its pass in training is that of its decoder alone."""

    def forward(self: Generator, latents: Tensor, speakers: Tensor) -> Tensor:  # type: ignore[misc]
        """latents [B, C, F], speakers [B] ids -> waveform [B, N]."""
        waveform: Tensor = self.decoder(latents, None, self.speaker(speakers))
        return waveform


class StudentVits(DecodesLatents, Vits):  # type: ignore[misc]
    """VITS of which only the decoder learns."""


@frozen(kw_only=True)
class Segments:
    """Segments of a batch: latents [B, C, F], waveform [B, N], speakers [B]."""

    latents: Tensor
    waveform: Tensor
    speakers: Tensor


class DistillObjective:
    """Trains the decoder of `student` against discriminators; everything else is the teacher's, and frozen.

    student: the model's class, which a model that extends VITS overrides.
    """

    features = ("waveform", "latents")
    student: ClassVar[Callable[..., Generator]] = StudentVits

    def __init__(self, experiment: Experiment, vocabulary: Vocabulary) -> None:
        trainer = experiment.trainer
        assert isinstance(trainer, DistillTrainerConfig)
        self.audio = experiment.audio
        self.segment_frames = trainer.segment_frames(self.audio)
        self.segment_samples = trainer.segment_size
        generator = type(self).student(
            experiment.model,
            vocabulary_size=vocabulary.symbols.size,
            speakers=len(vocabulary.speakers),
            audio=self.audio,
        )
        # A teacher may have no posterior encoder, and an untrained one must not be taken for a trained one.
        generator.discard_training_parts()
        for name, parameter in generator.named_parameters():
            parameter.requires_grad_(name.startswith("decoder."))
        self.learning = WaveformLearning(trainer, sample_rate=self.audio.sample_rate)
        self.modules: Mapping[str, nn.Module] = {
            GENERATOR: generator,
            DISCRIMINATOR: self.learning.discriminators(),
        }

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        """AdamW for each module, with a cosine schedule."""
        return self.learning.optimizers()

    def train_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """Update the discriminators, once they take part, then the decoder."""
        segments = self._cut(batch, random_starts)
        with rt.autocast():
            generated = rt[GENERATOR](segments.latents, segments.speakers)
        return self.learning.update(rt, segments.waveform, generated)

    def eval_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """The spectral distances of the middle segment of each utterance."""
        segments = self._cut(batch, middle_starts)
        with rt.autocast():
            generated = rt[GENERATOR](segments.latents, segments.speakers)
        return self.learning.evaluate(segments.waveform, generated)

    def sample(self, rt: Runtime, batch: Batch) -> Mapping[str, SampleAudio | SampleImage]:
        """What student and teacher make of whole utterances, as audio and mels."""
        samples: dict[str, SampleAudio | SampleImage] = {}
        latents, waveform = batch["latents"], batch["waveform"]
        for row, name in enumerate(batch.ids):
            frames = int(latents.lengths[row])
            with rt.autocast():
                spoken = rt[GENERATOR](
                    latents.values[row : row + 1, :frames].transpose(1, 2),
                    batch.speakers[row : row + 1],
                )
            taught = waveform.values[row : row + 1, : int(waveform.lengths[row])]
            samples |= {
                f"{name}/audio": SampleAudio(
                    samples=_numpy(spoken[0]), sample_rate=self.audio.sample_rate
                ),
                f"{name}/mel": SampleImage(values=_numpy(mel_spectrogram(spoken, self.audio)[0])),
                f"{name}/teacher_mel": SampleImage(
                    values=_numpy(mel_spectrogram(taught, self.audio)[0])
                ),
            }
        return samples

    def _cut(self, batch: Batch, choose_starts: Callable[[Tensor, int], Tensor]) -> Segments:
        latents, waveform = batch["latents"], batch["waveform"]
        starts = choose_starts(latents.lengths, self.segment_frames)
        first = starts * self.audio.hop_length
        samples = slice_segments(waveform.values.unsqueeze(1), first, self.segment_samples)
        return Segments(
            latents=slice_segments(latents.values.transpose(1, 2), starts, self.segment_frames),
            waveform=samples.squeeze(1),
            speakers=batch.speakers,
        )


def _numpy(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.detach().float().cpu().numpy()
    return array
