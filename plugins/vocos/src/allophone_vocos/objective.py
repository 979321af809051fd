"""Training of Vocos as a vocoder: mels of recordings to their waveforms.

Legend: B batch, M mel bands, F frames, N samples.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from allophone.config.experiment import Experiment
from allophone.data.batch import Batch
from allophone.data.manifest import Dropped
from allophone.data.vocabulary import Vocabulary
from allophone.events import SampleAudio, SampleImage
from allophone.training.objective import Metrics, OptimizerPlan, Runtime
from allophone.training.segments import Segmenter, middle_starts, random_starts
from allophone_vocos.config import VocosConfig, VocosTrainerConfig
from allophone_vocos.learning import DISCRIMINATOR, GENERATOR, WaveformLearning
from allophone_vocos.network import Vocos


class VocosObjective:
    """Trains a generator by spectral losses, later against discriminators too."""

    def __init__(self, experiment: Experiment, vocabulary: Vocabulary) -> None:
        del vocabulary
        config, trainer, audio = experiment.vocoder, experiment.trainer, experiment.audio
        assert isinstance(config, VocosConfig)
        assert isinstance(trainer, VocosTrainerConfig)
        config.check_audio(audio)
        self.segmenter = Segmenter(audio, frames=trainer.segment_frames(audio))
        self.features = self.segmenter.features
        self.segment_samples = self.segmenter.samples
        self.learning = WaveformLearning(trainer, sample_rate=audio.sample_rate)
        self.modules: Mapping[str, nn.Module] = {
            GENERATOR: Vocos(config, in_channels=audio.n_mels, hop_length=audio.hop_length),
            DISCRIMINATOR: self.learning.discriminators(),
        }

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        """AdamW for each module, with a cosine schedule."""
        return self.learning.optimizers()

    def reject(self, lengths: Mapping[str, int]) -> Dropped | None:
        """Reject utterances that are too short for a mel."""
        return self.segmenter.reject(lengths)

    def train_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """Update the discriminators, once they take part, then the generator."""
        segments = self.segmenter.cut(batch, random_starts)
        with rt.autocast():
            generated = rt[GENERATOR](segments.mel)
        return self.learning.update(rt, segments.waveform, generated)

    def eval_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """The spectral distances of the middle segment of each utterance."""
        segments = self.segmenter.cut(batch, middle_starts)
        with rt.autocast():
            generated = rt[GENERATOR](segments.mel)
        return self.learning.evaluate(segments.waveform, generated)

    def sample(self, rt: Runtime, batch: Batch) -> Mapping[str, SampleAudio | SampleImage]:
        """Each whole utterance synthesized from its mel, and its mel next to that of the recording."""
        samples: dict[str, SampleAudio | SampleImage] = {}
        for whole in self.segmenter.full_utterances(batch):
            with rt.autocast():
                waveform = self.modules[GENERATOR](whole.mel)
            samples |= self.segmenter.make_samples(whole, waveform)
        return samples
