"""Training that continues a voice with another speaker's recordings.

A voice for synthesis has no posterior encoder and no discriminators, and training everything at once with new
ones would spoil what the voice knows. But the voice can teach the posterior encoder: the latents of its own
speech are known. So it speaks the texts of each batch, and the posterior encoder learns to find the latents
in the waveform. After `teaching_steps`, VITS training (Kim et al. 2021) goes on with the recordings;
`[[runtime.parameters]]` says what is frozen until which step.

Legend: B batch, T text, F frames, N samples, C latent channels, K frequency bins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from attrs import evolve
from torch import Tensor, nn

from allophone.audio.melspec import MelSpec
from allophone.config.experiment import Experiment
from allophone.data.batch import Batch
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.training.objective import Adapted, Metrics, Runtime
from allophone_vits.config import NewSpeakerTrainerConfig
from allophone_vits.gaussian import Gaussian, negative_log_likelihood
from allophone_vits.inference import Latents, decode, infer_latents
from allophone_vits.layers import sequence_mask
from allophone_vits.model import Generator, Vits
from allophone_vits.objective import VitsObjective


class TaughtVits(Vits):
    """VITS whose forward pass can end at the posterior encoder."""

    def forward(self, **inputs: Any) -> Any:
        """Run the training pass; without tokens, only the posterior encoder, which returns q(z | x).

        A module in DistributedDataParallel must be called as a whole, so this is one method.
        """
        if "tokens" in inputs:
            return super().forward(**inputs)
        spectrogram, mask = inputs["spectrogram"], inputs["frame_mask"]
        return self.posterior_encoder(spectrogram, mask, self.speaker(inputs["speakers"]))


class NewSpeakerObjective(VitsObjective):
    """VITS training that begins with speech of the voice that it fine-tunes."""

    def __init__(self, experiment: Experiment, vocabulary: Vocabulary) -> None:
        super().__init__(experiment, vocabulary)
        assert isinstance(experiment.trainer, NewSpeakerTrainerConfig)
        self.teaching_steps = experiment.trainer.teaching_steps
        self.has_teacher = False

    def build_generator(
        self, model: Any, *, vocabulary_size: int, speakers: int, audio: MelSpec
    ) -> Generator:
        return TaughtVits(model, vocabulary_size=vocabulary_size, speakers=speakers, audio=audio)

    def adapt(
        self, weights: Mapping[str, Tensor], batches: Iterable[Batch]
    ) -> Mapping[str, Adapted]:
        """Note that the run fine-tunes a voice; all its tensors are used as they are."""
        self.has_teacher = True
        return {}

    def train_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """Teach the posterior encoder in the first steps, then train as VITS does."""
        if rt.step >= self.teaching_steps:
            return super().train_step(rt, batch)
        if rt.step == 0 and not self.has_teacher:
            raise UserError(
                "The trainer vits.new-speaker continues a voice, and none was given.",
                hint="Name a voice, a run or a checkpoint: allophone train ... --finetune VOICE. "
                'To train from scratch, use [trainer] type = "vits".',
            )
        return self.teach(rt, batch)

    def teach(self, rt: Runtime, batch: Batch) -> Metrics:
        """Update the posterior encoder with the likelihood of the latents of the voice's own speech."""
        latents, spectrogram = self.speak(batch)
        frame_mask = sequence_mask(latents.lengths, spectrogram.size(2))
        with rt.autocast():
            posterior: Gaussian = rt["generator"](
                spectrogram=spectrogram, frame_mask=frame_mask, speakers=batch.speakers
            )
        loss = negative_log_likelihood(latents.values, posterior, frame_mask)
        rt.update("generator", loss)
        return {"posterior_loss": loss}

    @torch.no_grad()
    def speak(self, batch: Batch) -> tuple[Latents, Tensor]:
        """Speak the texts of a batch; returns the latents z and the spectrogram [B, K, F] of the speech.

        The prior is sampled with its full variance, so that the latents are as varied as those of recordings.
        """
        model, phonemes = self.generator, batch["phonemes"]
        with _evaluated(model):
            latents = infer_latents(
                model,
                tokens=phonemes.values,
                token_lengths=phonemes.lengths,
                speakers=batch.speakers,
                seeds=torch.randint(2**31, (len(batch),)).tolist(),
                controls=evolve(model.controls(), noise_scale=1.0),
            )
            waveform = decode(model.decoder, latents)
        lengths = latents.lengths * self.audio.hop_length
        spectrogram = model.spectrogram.from_waveform(waveform, self.audio, lengths=lengths)
        return latents, spectrogram


@contextmanager
def _evaluated(module: nn.Module) -> Iterator[None]:
    """Context manager without dropout."""
    module.eval()
    try:
        yield
    finally:
        module.train()
