"""VITS training (Kim et al. 2021, section 2).

Legend: B batch, T text, F frames, N samples, K frequency bins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import frame_lengths, mel_spectrogram
from allophone.config.experiment import Experiment
from allophone.data.batch import Batch
from allophone.data.manifest import Dropped
from allophone.data.vocabulary import Vocabulary
from allophone.events import SampleAudio, SampleImage
from allophone.training.adversarial import (
    adversarial_loss,
    discriminate,
    discriminator_loss,
    feature_matching_loss,
)
from allophone.training.objective import Metrics, OptimizerPlan, Runtime
from allophone.training.optimizers import adamw, exponential
from allophone_hifigan.istft import IstftGenerator
from allophone_hifigan.sub_bands import check_segment, sub_band_loss
from allophone_vits.config import VitsTrainerConfig
from allophone_vits.discriminator import build_discriminator
from allophone_vits.gaussian import kl_loss
from allophone_vits.inference import decode, infer_latents, unbatch
from allophone_vits.model import AlignmentSearch, Generator, Vits, VitsOutput, align
from allophone_vits.segments import slice_segments
from allophone_vocos.spectral import SpectralLoss


@frozen(kw_only=True)
class Target:
    """The recordings of a batch.

    waveform: [B, N]; spectrogram: input of the posterior encoder, [B, K, F]; frame_lengths: [B].
    """

    waveform: Tensor
    spectrogram: Tensor
    frame_lengths: Tensor


class VitsObjective:
    """Adversarial training of the VITS generator.

    Subclasses override `build_generator` and single steps.

    weights: weights of the generator's losses, by name.
    """

    features = ("waveform", "phonemes")

    def __init__(self, experiment: Experiment, vocabulary: Vocabulary) -> None:
        model, trainer = experiment.model, experiment.trainer
        assert isinstance(trainer, VitsTrainerConfig)
        self.trainer = trainer
        self.audio = experiment.audio
        self.segment_frames = trainer.segment_frames(self.audio)
        self.segment_samples = trainer.segment_size
        self.modules: Mapping[str, nn.Module] = {
            "generator": self.build_generator(
                model,
                vocabulary_size=vocabulary.symbols.size,
                speakers=len(vocabulary.speakers),
                audio=self.audio,
            ),
            "discriminator": build_discriminator(trainer.discriminator),
        }
        decoder = self.generator.decoder
        if isinstance(decoder, IstftGenerator) and decoder.sub_bands and trainer.sub_band_weight:
            check_segment(trainer.segment_size, model.decoder.bands)
        self.weights = {
            "adversarial": 1.0,
            "feature": trainer.feature_weight,
            "mel": trainer.mel_weight,
            "kl": trainer.kl_weight,
            "duration": trainer.duration_weight,
            "sub_band": trainer.sub_band_weight,
        }
        self.spectral: SpectralLoss | None = None
        if trainer.spectral:
            self.spectral = SpectralLoss(trainer.spectral, sample_rate=self.audio.sample_rate)
            self.weights |= {
                "spectral_mel": trainer.spectral.mel_weight,
                "stft": trainer.spectral.stft_weight,
                "phase": trainer.spectral.phase_weight,
            }

    def build_generator(
        self, model: Any, *, vocabulary_size: int, speakers: int, audio: MelSpec
    ) -> Generator:
        """Build the generator from the model's config."""
        return Vits(model, vocabulary_size=vocabulary_size, speakers=speakers, audio=audio)

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        """AdamW for each module, with a learning rate that decays exponentially per epoch."""
        trainer = self.trainer
        return {
            name: adamw(
                name,
                learning_rate=trainer.learning_rate,
                betas=trainer.betas,
                epsilon=trainer.epsilon,
                weight_decay=trainer.weight_decay,
                schedule=exponential(trainer.decay),
                per="epoch",
            )
            for name in self.modules
        }

    def reject(self, lengths: Mapping[str, int]) -> Dropped | None:
        """Reject utterances with fewer frames than tokens: each token needs at least one frame."""
        frames, tokens = self.audio.frames(lengths["waveform"]), lengths["phonemes"]
        if tokens <= frames:
            return None
        return Dropped(reason="more tokens than frames", detail=f"{tokens} tokens, {frames} frames")

    def train_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """Update the discriminators, then the generator on L_vae (section 2.4, equation 11)."""
        target = self._target(batch)
        with rt.autocast():
            output = self._forward(rt, batch, target, search=self.alignment_search(rt.step))
        discriminator_losses = self.discriminator_step(rt, output, target)
        losses = {
            **self.adversarial_losses(rt, output, target),
            **self.reconstruction_losses(output, target),
        }
        weighted = (self.weights[name] * loss for name, loss in losses.items())
        total = sum(weighted, torch.zeros(()))
        rt.update("generator", total)
        return {
            **discriminator_losses,
            "generator_loss": total,
            **{f"{name}_loss": value for name, value in losses.items()},
        }

    def alignment_search(self, step: int) -> AlignmentSearch:
        """Return the alignment search for a training step."""
        return align

    def discriminator_step(
        self, rt: Runtime, output: VitsOutput, target: Target
    ) -> dict[str, Tensor]:
        """Update the discriminators with L_adv(D) (equation 8); returns their losses by name."""
        with rt.autocast():
            real = self._real_segments(output, target)
            outputs = discriminate(rt["discriminator"], real, output.waveform.detach())
        loss = discriminator_loss(*outputs)
        rt.update("discriminator", loss)
        return {"discriminator_loss": loss}

    def adversarial_losses(
        self, rt: Runtime, output: VitsOutput, target: Target
    ) -> dict[str, Tensor]:
        """L_adv(G) and L_fm(G) (equations 9 and 10)."""
        with rt.frozen("discriminator"), rt.autocast():
            real = self._real_segments(output, target)
            outputs_real, outputs_generated = discriminate(
                rt["discriminator"], real, output.waveform, detach_real=True
            )
        return {
            "adversarial": adversarial_loss(outputs_generated),
            "feature": feature_matching_loss(outputs_real, outputs_generated),
        }

    def eval_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """The reconstruction losses, with per-utterance noise and the middle segment of each utterance."""
        target = self._target(batch)
        with rt.autocast():
            output = self._forward(rt, batch, target, seeds=range(len(batch)))
        losses = self.reconstruction_losses(output, target)
        return {f"{name}_loss": value for name, value in losses.items()}

    def sample(self, rt: Runtime, batch: Batch) -> Mapping[str, SampleAudio | SampleImage]:
        """Synthesized audio and mel, the recording's mel and the alignment of each utterance."""
        target = self._target(batch)
        phonemes = batch["phonemes"]
        seeds = range(len(batch))
        model = self.generator
        with rt.autocast():
            alignment = self._forward(rt, batch, target, seeds=seeds).alignment.dense()
        generated = infer_latents(
            model,
            tokens=phonemes.values,
            token_lengths=phonemes.lengths,
            speakers=batch.speakers,
            seeds=seeds,
            controls=model.controls(),
        )
        recorded = model.spectrogram.to_mel(
            target.spectrogram, self.audio, lengths=target.frame_lengths
        )
        samples: dict[str, SampleAudio | SampleImage] = {}
        for row, (name, latents) in enumerate(zip(batch.ids, unbatch(generated), strict=True)):
            waveform = decode(model.decoder, latents)
            frames, tokens = int(target.frame_lengths[row]), int(phonemes.lengths[row])
            mel = mel_spectrogram(waveform, self.audio)[0]
            samples |= {
                f"{name}/audio": SampleAudio(
                    samples=_numpy(waveform[0]), sample_rate=self.audio.sample_rate
                ),
                f"{name}/mel": SampleImage(values=_numpy(mel)),
                f"{name}/recorded_mel": SampleImage(values=_numpy(recorded[row, :, :frames])),
                f"{name}/alignment": SampleImage(values=_numpy(alignment[row, :frames, :tokens].T)),
            }
        return samples

    def _target(self, batch: Batch) -> Target:
        waveform = batch["waveform"]
        lengths = frame_lengths(waveform.lengths, self.audio)
        spectrogram = self.generator.spectrogram.from_waveform(
            waveform.values, self.audio, lengths=waveform.lengths
        )
        return Target(waveform=waveform.values, spectrogram=spectrogram, frame_lengths=lengths)

    def _forward(
        self,
        rt: Runtime,
        batch: Batch,
        target: Target,
        *,
        seeds: Sequence[int] | None = None,
        search: AlignmentSearch | None = None,
    ) -> VitsOutput:
        phonemes = batch["phonemes"]
        output: VitsOutput = rt["generator"](
            tokens=phonemes.values,
            token_lengths=phonemes.lengths,
            spectrogram=target.spectrogram,
            frame_lengths=target.frame_lengths,
            speakers=batch.speakers,
            segment_frames=self.segment_frames,
            seeds=seeds,
            search=search,
        )
        return output

    def _real_segments(self, output: VitsOutput, target: Target) -> Tensor:
        starts = output.segment_starts * self.audio.hop_length
        waveform = target.waveform.unsqueeze(1)
        return slice_segments(waveform, starts, self.trainer.segment_size).squeeze(1)

    def reconstruction_losses(self, output: VitsOutput, target: Target) -> dict[str, Tensor]:
        """L_recon, L_kl and L_dur (equations 2 to 4 and 7), and the further ones of the configuration."""
        segments = slice_segments(target.spectrogram, output.segment_starts, self.segment_frames)
        mel_loss = functional.l1_loss(
            mel_spectrogram(output.waveform, self.audio),
            self.generator.spectrogram.to_mel(segments, self.audio),
        )
        losses = {
            "mel": mel_loss,
            "kl": kl_loss(output.z_p, output.posterior, output.prior, output.frame_mask),
            "duration": output.duration_loss,
        }
        if output.bands is not None and self.trainer.sub_band_weight:
            decoder = self.generator.decoder
            assert isinstance(decoder, IstftGenerator)
            real = decoder.split(self._real_segments(output, target))
            losses["sub_band"] = sub_band_loss(output.bands, real)
        if self.spectral:
            sizes = self.spectral.drawn_sizes() if torch.is_grad_enabled() else None
            real = self._real_segments(output, target)
            distances = self.spectral(output.waveform, real, sizes)
            losses |= {"spectral_mel": distances.mel, "stft": distances.stft}
            if distances.phase is not None:
                losses["phase"] = distances.phase
        return losses

    @property
    def generator(self) -> Generator:
        generator = self.modules["generator"]
        assert isinstance(generator, Generator)
        return generator


def _numpy(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.float().cpu().numpy()
    return array
