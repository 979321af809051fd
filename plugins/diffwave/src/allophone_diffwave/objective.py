"""Training of DiffWave: predicting the noise in a waveform at all noise levels (algorithm 1).

Legend: B batch, M mel bands, F frames, N samples, L noise levels.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from allophone.config.experiment import Experiment
from allophone.data.batch import Batch
from allophone.data.manifest import Dropped
from allophone.data.vocabulary import Vocabulary
from allophone.events import SampleAudio, SampleImage
from allophone.training.objective import Metrics, OptimizerPlan, Runtime
from allophone.training.optimizers import adamw, exponential
from allophone.training.segments import Segmenter, middle_starts, random_starts
from allophone_diffwave.config import DiffwaveConfig, DiffwaveTrainerConfig
from allophone_diffwave.controls import DiffwaveControls
from allophone_diffwave.diffusion import NoiseSchedule, diffuse, noise_loss
from allophone_diffwave.folded import FoldedDenoiser
from allophone_diffwave.network import Denoiser
from allophone_diffwave.samplers import make_plan
from allophone_diffwave.sampling import sample

VALIDATION_LEVELS = 4
"""Noise levels per utterance in validation. The loss depends strongly on the level."""


class DiffwaveObjective:
    """Trains a denoiser on recordings with added noise."""

    def __init__(self, experiment: Experiment, vocabulary: Vocabulary) -> None:
        del vocabulary
        config, trainer = experiment.vocoder, experiment.trainer
        assert isinstance(config, DiffwaveConfig)
        assert isinstance(trainer, DiffwaveTrainerConfig)
        config.check_audio(experiment.audio)
        self.config = config
        self.trainer = trainer
        self.segmenter = Segmenter(
            experiment.audio, frames=trainer.segment_frames, mels=trainer.input_mels
        )
        self.features = self.segmenter.features
        self.segment_samples = self.segmenter.samples
        self.denoiser = Denoiser(config, mels=experiment.audio.n_mels)
        self.modules: Mapping[str, nn.Module] = {"denoiser": self.denoiser}

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        """AdamW, with an exponential decay per epoch."""
        trainer = self.trainer
        return {
            "denoiser": adamw(
                "denoiser",
                learning_rate=trainer.learning_rate,
                betas=trainer.betas,
                weight_decay=trainer.weight_decay,
                schedule=exponential(trainer.decay),
                per="epoch",
            )
        }

    def reject(self, lengths: Mapping[str, int]) -> Dropped | None:
        """Reject utterances that are too short, or whose predicted mel has another length."""
        return self.segmenter.reject(lengths)

    def train_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """A random segment of each utterance, each at a random noise level."""
        segments = self.segmenter.cut(batch, random_starts)
        clean = segments.waveform
        alpha_bar = self.denoiser.alpha_bar
        step = torch.randint(len(alpha_bar), (len(clean),), device=clean.device)
        noise = torch.randn_like(clean)
        with rt.autocast():
            noisy = diffuse(clean, noise, alpha_bar[step])
            predicted_noise = rt["denoiser"](noisy, segments.mel, step)
        loss = noise_loss(predicted_noise, noise)
        rt.update("denoiser", loss)
        return {"noise_loss": loss}

    def eval_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """The middle segment of each utterance, at levels spread over the whole schedule.

        Noise and levels depend only on the utterance, not on the batch.
        """
        segments = self.segmenter.cut(batch, middle_starts)
        drawn = [self._validation_noise(name) for name in batch.ids]
        noise = torch.cat([noise for noise, _ in drawn]).to(segments.waveform.device)
        step = torch.cat([step for _, step in drawn]).to(noise.device)
        clean = segments.waveform.repeat_interleave(VALIDATION_LEVELS, dim=0)
        mel = segments.mel.repeat_interleave(VALIDATION_LEVELS, dim=0)
        with rt.autocast():
            noisy = diffuse(clean, noise, self.denoiser.alpha_bar[step])
            predicted_noise = rt["denoiser"](noisy, mel, step)
        return {"noise_loss": noise_loss(predicted_noise, noise)}

    def sample(self, rt: Runtime, batch: Batch) -> Mapping[str, SampleAudio | SampleImage]:
        """Each whole utterance, synthesized from its mel with the default controls."""
        denoiser = FoldedDenoiser(self.denoiser)
        plan = make_plan(DiffwaveControls(), NoiseSchedule.from_config(self.config.noise))
        samples: dict[str, SampleAudio | SampleImage] = {}
        for whole in self.segmenter.full_utterances(batch):
            waveform = torch.cat(list(sample(denoiser, whole.mel[0], plan, seed=0)))
            samples |= self.segmenter.make_samples(whole, waveform.unsqueeze(0))
        return samples

    def _validation_noise(self, utterance: str) -> tuple[Tensor, Tensor]:
        """Noise [L, N] and evenly spread steps [L], seeded by the id of the utterance."""
        own = torch.Generator().manual_seed(zlib.crc32(utterance.encode()))
        noise = torch.randn(VALIDATION_LEVELS, self.segmenter.samples, generator=own)
        position = torch.arange(VALIDATION_LEVELS) + torch.rand((), generator=own)
        return noise, (position / VALIDATION_LEVELS * self.config.noise.steps).long()
