"""Training DiffWave: to predict the noise in a waveform, however much there is (algorithm 1).

Legend: B batch, M mel bands, F frames, N samples, L levels of noise.
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
from allophone_diffwave.samplers import plan_of
from allophone_diffwave.sampling import sample

VALIDATION_LEVELS = 4
"""At how many levels of noise each utterance is judged: the loss depends on the level most of all."""


class DiffwaveObjective:
    """A denoiser, which is shown recordings with more or less noise."""

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
        self.denoiser = Denoiser(config, mels=experiment.audio.n_mels)
        self.modules: Mapping[str, nn.Module] = {"denoiser": self.denoiser}

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        """AdamW, with a rate that may decay from epoch to epoch."""
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
        """What has no mel, or a predicted one that is not in step with it."""
        return self.segmenter.reject(lengths)

    def train_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """A segment of each utterance, each in noise of a level of its own."""
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
        """The segment in the middle of each utterance, at levels from all over the schedule.

        Noise and levels are always the same for an utterance, in whatever batch it comes.
        """
        segments = self.segmenter.cut(batch, middle_starts)
        drawn = [self._drawn(name) for name in batch.ids]
        noise = torch.cat([noise for noise, _ in drawn]).to(segments.waveform.device)
        step = torch.cat([step for _, step in drawn]).to(noise.device)
        clean = segments.waveform.repeat_interleave(VALIDATION_LEVELS, dim=0)
        mel = segments.mel.repeat_interleave(VALIDATION_LEVELS, dim=0)
        with rt.autocast():
            noisy = diffuse(clean, noise, self.denoiser.alpha_bar[step])
            predicted_noise = rt["denoiser"](noisy, mel, step)
        return {"noise_loss": noise_loss(predicted_noise, noise)}

    def sample(self, rt: Runtime, batch: Batch) -> Mapping[str, SampleAudio | SampleImage]:
        """Each utterance from its mel, whole, as a vocoder makes it unless it is told otherwise."""
        denoiser = FoldedDenoiser(self.denoiser)
        plan = plan_of(DiffwaveControls(), NoiseSchedule.of_training(self.config.noise))
        samples: dict[str, SampleAudio | SampleImage] = {}
        for whole in self.segmenter.wholes(batch):
            waveform = torch.cat(list(sample(denoiser, whole.mel[0], plan, seed=0)))
            samples |= self.segmenter.shown(whole, waveform.unsqueeze(0))
        return samples

    def _drawn(self, name: str) -> tuple[Tensor, Tensor]:
        """Noise [L, N] and steps [L], evenly spread, that belong to an utterance by its name."""
        own = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        noise = torch.randn(VALIDATION_LEVELS, self.segmenter.samples, generator=own)
        position = torch.arange(VALIDATION_LEVELS) + torch.rand((), generator=own)
        return noise, (position / VALIDATION_LEVELS * self.config.noise.steps).long()
