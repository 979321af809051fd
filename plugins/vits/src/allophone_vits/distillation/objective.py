"""Training of a student's decoder, flow and text encoder on what a teacher computed.

The teacher's waveform is the target of its own latents, and its latents are the target of the samples that its flow was
given, so there is nothing to align: a step takes random segments of what the teacher said, and compares what
each part of the student makes of its input with what the teacher's did.

Legend: B batch, C latent channels, F frames, H hidden channels, N samples, T text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from allophone.audio.spectrogram import mel_spectrogram
from allophone.config.experiment import Experiment
from allophone.data.batch import Batch
from allophone.data.manifest import Dropped
from allophone.data.vocabulary import Vocabulary
from allophone.events import SampleAudio, SampleImage
from allophone.training.objective import Metrics, OptimizerPlan, Runtime
from allophone_vits.distillation.config import (
    DECODER,
    ENCODED_TEXT,
    FLOW,
    LATENTS,
    PRIOR_SAMPLES,
    TEXT_ENCODER,
    DistillTrainerConfig,
    features_of,
)
from allophone_vits.distillation.student import StudentOutput, StudentVits
from allophone_vits.gaussian import Gaussian, gaussian_kl
from allophone_vits.layers import masked, sequence_mask
from allophone_vits.model import Generator
from allophone_vits.segments import middle_starts, random_starts, slice_segments
from allophone_vits.text_encoder import EncodedText
from allophone_vocos.learning import DISCRIMINATOR, GENERATOR, WaveformLearning


@frozen(kw_only=True)
class Text:
    """Texts of a batch: tokens [B, T] ids with their mask [B, 1, T], and what the teacher's text encoder gave."""

    tokens: Tensor
    mask: Tensor
    encoded: EncodedText


@frozen(kw_only=True)
class Comparison:
    """A student's output for segments, and the teacher's.

    latents: [B, C, F] and waveform [B, N] of the teacher; text: None if the student has the teacher's text encoder.
    """

    student: StudentOutput
    latents: Tensor
    waveform: Tensor
    text: Text | None


class DistillObjective:
    """Trains the `parts` of a student, the decoder against discriminators; the rest is the teacher's, and frozen.

    student: the model's class, which a model that extends VITS overrides.
    """

    student: ClassVar[Callable[..., Generator]] = StudentVits

    def __init__(self, experiment: Experiment, vocabulary: Vocabulary) -> None:
        trainer = experiment.trainer
        assert isinstance(trainer, DistillTrainerConfig)
        self.parts = frozenset(trainer.parts)
        self.features = features_of(trainer.parts)
        self.joint_from = trainer.joint_from
        self.weights = {
            "latents_loss": trainer.latents_weight,
            "hidden_loss": trainer.text_weight,
            "prior_loss": trainer.text_weight,
        }
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
            parameter.requires_grad_(name.partition(".")[0] in self.parts)
        self.flow_margin = generator.flow.margin
        self.learning = WaveformLearning(trainer, sample_rate=self.audio.sample_rate)
        self.modules: Mapping[str, nn.Module] = {
            GENERATOR: generator,
            DISCRIMINATOR: self.learning.discriminators(),
        }

    def reject(self, lengths: Mapping[str, int]) -> Dropped | None:
        """Reject texts of which the teacher read other symbols."""
        if TEXT_ENCODER not in self.parts or lengths["phonemes"] == lengths[ENCODED_TEXT]:
            return None
        return Dropped(
            reason="other symbols",
            detail=f"the text has {lengths['phonemes']} symbols, the teacher read {lengths[ENCODED_TEXT]}",
        )

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        """AdamW for each module, with a cosine schedule."""
        return self.learning.optimizers()

    def train_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """Update the discriminators, once they take part, then the student."""
        compared = self._compare(rt, batch, random_starts, joint=rt.step >= self.joint_from)
        losses = self._distances(compared)
        total = sum((self.weights[name] * loss for name, loss in losses.items()), torch.zeros(()))
        waveform = compared.student.waveform
        if waveform is not None:
            learned = self.learning.update(rt, compared.waveform, waveform, total)
            return {**learned, **losses}
        rt.update(GENERATOR, total)
        return {"generator_loss": total, **losses}

    def eval_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """The distances of the middle segment of each utterance, and of its text."""
        compared = self._compare(rt, batch, middle_starts, joint=True)
        losses = self._distances(compared)
        waveform = compared.student.waveform
        if waveform is None:
            return losses
        return {**self.learning.evaluate(compared.waveform, waveform), **losses}

    def sample(self, rt: Runtime, batch: Batch) -> Mapping[str, SampleAudio | SampleImage]:
        """What student and teacher make of whole utterances, as audio and mels."""
        samples: dict[str, SampleAudio | SampleImage] = {}
        for row, name in enumerate(batch.ids):
            one = batch.rows(slice(row, row + 1))
            lengths = one[LATENTS].lengths
            given = self._given(one, torch.zeros_like(lengths), int(lengths.max()))
            with rt.autocast():
                spoken = rt[GENERATOR](
                    **given, decode="student" if FLOW in self.parts else "teacher"
                ).waveform
            samples |= {
                f"{name}/audio": SampleAudio(
                    samples=_numpy(spoken[0]), sample_rate=self.audio.sample_rate
                ),
                f"{name}/mel": self._mel_image(spoken),
                f"{name}/teacher_mel": self._mel_image(one["waveform"].values),
            }
        return samples

    def _compare(
        self,
        rt: Runtime,
        batch: Batch,
        choose_starts: Callable[[Tensor, int], Tensor],
        *,
        joint: bool,
    ) -> Comparison:
        starts = choose_starts(batch[LATENTS].lengths, self.segment_frames)
        given = self._given(batch, starts, self.segment_frames)
        text = _text(batch) if TEXT_ENCODER in self.parts else None
        if text:
            given |= {"tokens": text.tokens, "token_mask": text.mask}
        with rt.autocast():
            output = rt[GENERATOR](**given, decode=self._decode(joint))
        waveform = slice_segments(
            batch["waveform"].values.unsqueeze(1),
            starts * self.audio.hop_length,
            self.segment_samples,
        )
        return Comparison(
            student=output, latents=given["latents"], waveform=waveform.squeeze(1), text=text
        )

    def _decode(self, joint: bool) -> str | None:
        if DECODER not in self.parts:
            return None
        return "student" if joint and FLOW in self.parts else "teacher"

    def _given(self, batch: Batch, starts: Tensor, frames: int) -> dict[str, Tensor]:
        """What the parts are given of `frames` frames from `starts` [B] on."""
        latents = batch[LATENTS].values.transpose(1, 2)
        given = {"speakers": batch.speakers, "latents": slice_segments(latents, starts, frames)}
        if FLOW not in self.parts:
            return given
        samples, margin = batch[PRIOR_SAMPLES].values.transpose(1, 2), self.flow_margin
        inside = sequence_mask(batch[LATENTS].lengths, samples.size(2))
        # Before and after an utterance are zeros, as in synthesis.
        samples, within = (
            slice_segments(
                functional.pad(values, (margin, margin)), starts, margin + frames + margin
            )
            for values in (masked(samples, inside), inside.float())
        )
        return {**given, "prior_samples": samples, "inside": within > 0}

    def _distances(self, compared: Comparison) -> dict[str, Tensor]:
        """How far flow and text encoder are from the teacher's, by the name of each loss."""
        losses: dict[str, Tensor] = {}
        latents, encoded = compared.student.latents, compared.student.text
        if latents is not None:
            # Squared: a few channels swing widely in voiced speech, and their errors change the waveform most.
            losses["latents_loss"] = functional.mse_loss(latents.float(), compared.latents)
        if encoded is not None and compared.text is not None:
            taught, mask = compared.text.encoded, compared.text.mask
            squared = masked((encoded.hidden.float() - taught.hidden).square(), mask)
            losses["hidden_loss"] = squared.sum() / (mask.sum() * squared.size(1))
            losses["prior_loss"] = gaussian_kl(taught.prior, encoded.prior, mask)
        return losses

    def _mel_image(self, waveform: Tensor) -> SampleImage:
        return SampleImage(values=_numpy(mel_spectrogram(waveform, self.audio)[0]))


def _text(batch: Batch) -> Text:
    tokens = batch["phonemes"]
    columns = batch[ENCODED_TEXT].values.float().transpose(1, 2)  # [B, H + 2 C, T]
    hidden = columns.size(1) - 2 * batch[LATENTS].values.size(2)
    return Text(
        tokens=tokens.values,
        mask=sequence_mask(tokens.lengths, tokens.values.size(1)),
        encoded=EncodedText(
            hidden=columns[:, :hidden], prior=Gaussian.from_statistics(columns[:, hidden:])
        ),
    )


def _numpy(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.detach().float().cpu().numpy()
    return array
