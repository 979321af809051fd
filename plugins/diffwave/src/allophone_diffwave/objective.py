"""Training DiffWave: to see the noise in a waveform, however much there is (algorithm 1).

Legend: B batch, M mel bands, F frames, N samples, L levels of noise.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from allophone.config.experiment import Experiment
from allophone.data.batch import Batch
from allophone.data.dropped import Dropped
from allophone.data.vocabulary import Vocabulary
from allophone.events import SampleAudio, SampleImage
from allophone.training.objective import Metrics, OptimizerPlan, Runtime
from allophone.training.schedule import exponential
from allophone.training.segments import Segmenter, middle_starts, random_starts
from allophone_diffwave.config import DiffwaveConfig, DiffwaveTrainerConfig
from allophone_diffwave.diffusion import NoiseSchedule, drown, noise_loss, training_signal
from allophone_diffwave.network import Denoiser
from allophone_diffwave.samplers import FAST_BETAS, ancestral
from allophone_diffwave.sampling import SeededNoise, follow

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
        self.modules: Mapping[str, nn.Module] = {
            "denoiser": Denoiser(config, mels=experiment.audio.n_mels)
        }

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        """AdamW, which is Adam without weight decay."""
        trainer = self.trainer
        return {
            "denoiser": OptimizerPlan(
                modules=("denoiser",),
                optimizer=lambda parameters: torch.optim.AdamW(
                    parameters,
                    lr=trainer.learning_rate,
                    betas=trainer.betas,
                    weight_decay=trainer.weight_decay,
                    fused=True,  # One pass through memory, on CPUs too.
                ),
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
        signal = training_signal(self.config.noise, clean.device)
        step = torch.randint(len(signal), (len(clean),), device=clean.device)
        noise = torch.randn_like(clean)
        with rt.autocast():
            seen = rt["denoiser"](drown(clean, noise, signal[step]), segments.mel, step)
        loss = noise_loss(seen, noise)
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
        signal = training_signal(self.config.noise, noise.device)
        with rt.autocast():
            seen = rt["denoiser"](drown(clean, noise, signal[step]), mel, step)
        return {"noise_loss": noise_loss(seen, noise)}

    def sample(self, rt: Runtime, batch: Batch) -> Mapping[str, SampleAudio | SampleImage]:
        """Each utterance from its mel, whole, in the six published steps."""
        levels = tuple(reversed(NoiseSchedule.adding(FAST_BETAS).signal))
        plan = ancestral(levels, NoiseSchedule.of_training(self.config.noise))
        samples: dict[str, SampleAudio | SampleImage] = {}
        noise = SeededNoise(seed=0, device=rt.device)
        for whole in self.segmenter.wholes(batch):
            length = whole.mel.size(2) * self.config.hop_length
            with rt.autocast():
                waveform = follow(plan, noise, length, partial(self._denoise, whole.mel))
            samples |= self.segmenter.shown(whole, waveform.unsqueeze(0))
        return samples

    def _denoise(self, mel: Tensor, waveform: Tensor, step: float) -> Tensor:
        """What the denoiser sees in a waveform [N] with a mel [1, M, F], whose step is given."""
        told = torch.tensor([step], device=waveform.device)
        seen: Tensor = self.modules["denoiser"](waveform.unsqueeze(0), mel, told)
        return seen.squeeze(0)

    def _drawn(self, name: str) -> tuple[Tensor, Tensor]:
        """Noise [L, N] and steps [L], evenly spread, that belong to an utterance by its name."""
        own = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        noise = torch.randn(VALIDATION_LEVELS, self.segmenter.samples, generator=own)
        position = torch.arange(VALIDATION_LEVELS) + torch.rand((), generator=own)
        return noise, (position / VALIDATION_LEVELS * self.config.noise.steps).long()
