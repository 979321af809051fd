"""Codec training (Defossez et al. 2022, section 3.4).

Legend: B batch, N samples.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from encodec.msstftd import MultiScaleSTFTDiscriminator
from torch import Tensor, nn
from torch.nn import functional

from allophone.config.experiment import Experiment
from allophone.data.batch import Batch
from allophone.data.vocabulary import Vocabulary
from allophone.events import SampleAudio
from allophone.training.objective import Metrics, OptimizerPlan, Runtime
from allophone.training.optimizers import adamw, exponential
from allophone.training.segments import Starts, middle_starts, random_starts, slice_segments
from allophone_valle.codec_config import CodecArchitecture, CodecTrainerConfig
from allophone_valle.codec_losses import (
    adversarial_loss,
    discriminator_loss,
    feature_loss,
    mel_loss,
    mel_loss_specs,
    perplexity,
)
from allophone_valle.codecs.network import CodecNetwork, CodecOutput


class CodecObjective:
    """Reconstruction training of a codec, with optional STFT discriminators."""

    features = ("waveform",)

    def __init__(self, experiment: Experiment, vocabulary: Vocabulary) -> None:
        del vocabulary
        architecture, trainer = experiment.vocoder, experiment.trainer
        assert isinstance(architecture, CodecArchitecture)
        assert isinstance(trainer, CodecTrainerConfig)
        architecture.check_audio(experiment.audio)
        trainer.check_segment(experiment.audio)
        self.segment_samples = trainer.segment_size
        self.trainer = trainer
        self.architecture = architecture
        self.sample_rate = experiment.audio.sample_rate
        self.mel_specs = mel_loss_specs(trainer.mel_sizes, sample_rate=self.sample_rate)
        self.modules: dict[str, nn.Module] = {"codec": CodecNetwork(architecture)}
        if trainer.stft_sizes:
            self.modules["discriminator"] = MultiScaleSTFTDiscriminator(
                filters=trainer.stft_channels,
                n_ffts=list(trainer.stft_sizes),
                win_lengths=list(trainer.stft_sizes),
                hop_lengths=[size // 4 for size in trainer.stft_sizes],
            )

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        """Adam for each module, with a learning rate that decays exponentially per epoch."""
        trainer = self.trainer
        return {
            name: adamw(
                name,
                learning_rate=trainer.learning_rate,
                betas=trainer.betas,
                schedule=exponential(trainer.decay),
                per="epoch",
            )
            for name in self.modules
        }

    def train_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """Update the discriminators, if any, then the codec."""
        trainer = self.trainer
        real = self._segments(batch, random_starts)
        with rt.autocast():
            output: CodecOutput = rt["codec"](real, bypass=trainer.bypass)
        losses = {
            "waveform": functional.l1_loss(output.waveform, real),
            "mel": mel_loss(output.waveform, real, self.mel_specs),
            "commitment": output.quantized.commitment,
        }
        total = (
            trainer.waveform_weight * losses["waveform"]
            + trainer.mel_weight * losses["mel"]
            + trainer.commitment_weight * losses["commitment"]
        )
        if trainer.stft_sizes:
            losses |= self._adversarial_step(rt, output.waveform, real)
            total = (
                total
                + trainer.adversarial_weight * losses["adversarial"]
                + trainer.feature_weight * losses["feature"]
            )
        rt.update("codec", total)
        return {"loss": total, **{f"{name}_loss": value for name, value in losses.items()}}

    def eval_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """Losses of the middle segment of each utterance, and the perplexity of each codebook."""
        real = self._segments(batch, middle_starts)
        with rt.autocast():
            output: CodecOutput = rt["codec"](real)
        perplexities = {
            f"codes_in_use_{stage}": perplexity(codes, self.architecture.bins)
            for stage, codes in enumerate(output.quantized.codes.unbind(1), start=1)
        }
        return {
            "mel_loss": mel_loss(output.waveform, real, self.mel_specs),
            "waveform_loss": functional.l1_loss(output.waveform, real),
            **perplexities,
        }

    def sample(self, rt: Runtime, batch: Batch) -> Mapping[str, SampleAudio]:
        """Each utterance, reconstructed from its codes."""
        samples = {}
        waveform = batch["waveform"]
        for name, row, length in zip(
            batch.ids, waveform.values, waveform.lengths.tolist(), strict=True
        ):
            padded = functional.pad(row[:length], (0, -length % self.architecture.hop_length))
            with rt.autocast():
                output: CodecOutput = self.modules["codec"](padded.unsqueeze(0))
            samples[f"{name}/audio"] = SampleAudio(
                samples=output.waveform[0, :length].float().cpu().numpy(),
                sample_rate=self.sample_rate,
            )
        return samples

    def _segments(self, batch: Batch, choose: Starts) -> Tensor:
        """Segments [B, segment_size] of the utterances; `choose` picks their starts."""
        waveform, size = batch["waveform"], self.trainer.segment_size
        starts = choose(waveform.lengths, size)
        return slice_segments(waveform.values.unsqueeze(1), waveform.lengths, starts, size).squeeze(
            1
        )

    def _adversarial_step(self, rt: Runtime, generated: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Update the discriminators; returns their loss and the codec's losses."""
        real, generated = real.unsqueeze(1), generated.float().unsqueeze(1)
        with rt.autocast():
            scores, _ = rt["discriminator"](torch.cat([real, generated.detach()]))
        halves = [score.chunk(2) for score in scores]
        loss = discriminator_loss([half[0] for half in halves], [half[1] for half in halves])
        rt.update("discriminator", loss)
        with rt.frozen("discriminator"), rt.autocast():
            with torch.no_grad():
                _, features_real = rt["discriminator"](real)
            scores, features_generated = rt["discriminator"](generated)
        return {
            "discriminator": loss.detach(),
            "adversarial": adversarial_loss(scores),
            "feature": feature_loss(features_real, features_generated),
        }
