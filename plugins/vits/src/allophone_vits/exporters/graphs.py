"""Modules with the inputs and outputs of the exported ONNX graphs.

Legend: B batch, T text, F frames, N samples, C latent channels, S speaker channels.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import attrs
import torch
from attrs import frozen
from torch import Tensor, nn

from allophone_onnx.export_noise import seeded_noise
from allophone_onnx.noise import Stream
from allophone_vits.config import VitsControls
from allophone_vits.inference import predict_prior
from allophone_vits.layers import masked, sequence_mask
from allophone_vits.model import Generator


@frozen(kw_only=True)
class InferredLatents:
    """latents: [B, C, F], zero past each utterance; mask: [B, 1, F]; durations: [B, T], in frames."""

    latents: Tensor
    mask: Tensor
    durations: Tensor


class _TextGraph(nn.Module):
    """Base of the graphs that take ids: text encoder, duration predictor and inverse flow (figure 1b).

    controls: values of the controls that are not inputs of the graph.
    """

    def __init__(self, model: Generator, controls: VitsControls) -> None:
        super().__init__()
        self.model = model
        self._controls = attrs.asdict(controls, recurse=False)

    def _infer_latents(
        self, ids: Tensor, lengths: Tensor, scales: Tensor, speakers: Tensor
    ) -> InferredLatents:
        """ids [B, T], lengths [B], speakers [B].

        scales: [3 or 4], noise_scale, length_scale, noise_scale_duration and optionally a seed. Row r
            uses the seed plus r, as sentence r of a text does. Without a seed, noise differs per call.
        """
        model = self.model
        seed = torch.cat([scales, torch.full_like(scales[:1], -1.0)])[3].long()
        controls = self._controls_from(scales)
        mask = sequence_mask(lengths, ids.size(1))
        predicted = predict_prior(
            model,
            tokens=ids,
            mask=mask,
            speakers=speakers,
            noise=self._duration_noise(ids, seed),
            controls=controls,
        )
        ends = predicted.durations.cumsum(dim=1)
        frames = _to_size(ends[:, -1].max())
        index = _frame_to_token(ends, frames)
        frame_mask = sequence_mask(ends[:, -1], frames)
        prior = predicted.prior.expand(index)
        noise = seeded_noise(seed, Stream.LATENT, channels=prior.mean.size(1), like=index)
        z_p = masked(prior.sample(noise * controls.noise_scale), frame_mask)
        return InferredLatents(
            latents=model.flow.inverse(z_p, frame_mask, predicted.speaker),
            mask=frame_mask,
            durations=predicted.durations,
        )

    def _controls_from(self, scales: Tensor) -> VitsControls:
        """Controls that hold tensors, in a namespace: the validators only accept numbers."""
        values = self._controls | {
            "noise_scale": scales[0],
            "length_scale": scales[1],
            "noise_scale_duration": scales[2],
        }
        return cast(VitsControls, SimpleNamespace(**values))

    def _duration_noise(self, ids: Tensor, seed: Tensor) -> Tensor:
        channels = self.model.duration_predictor.noise_channels
        if not channels:
            return ids.new_zeros((*ids.shape[:1], 0, *ids.shape[1:]), dtype=torch.float32)
        return seeded_noise(seed, Stream.DURATION, channels=channels, like=ids)


class SynthesisGraph(_TextGraph):
    """The whole model: ids to samples, with the inputs and outputs of Piper's graphs."""

    def forward(
        self, input: Tensor, input_lengths: Tensor, scales: Tensor, sid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """input [B, T] ids, input_lengths [B], scales [3 or 4], sid [B] speaker ids (multi-speaker only).

        Returns output [B, 1, 1, N], zero past each utterance, and durations [B, T] in frames.
        """
        speakers = _speakers(sid, input)
        inferred = self._infer_latents(input, input_lengths, scales, speakers)
        waveform = self.model.decoder(inferred.latents, inferred.mask, self.model.speaker(speakers))
        return waveform.unsqueeze(1).unsqueeze(1), inferred.durations


class EncoderGraph(_TextGraph):
    """First of three parts: ids to the prior and duration of each id."""

    def forward(
        self,
        input: Tensor,
        input_lengths: Tensor,
        scales: Tensor,
        duration_noise: Tensor,
        sid: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `SynthesisGraph.forward`, with duration_noise [B, channels, T].

        Returns the prior's mean and log scale [B, C, T], and durations [B, T] in frames.
        """
        predicted = predict_prior(
            self.model,
            tokens=input,
            mask=sequence_mask(input_lengths, input.size(1)),
            speakers=_speakers(sid, input),
            noise=duration_noise,
            controls=self._controls_from(scales),
        )
        return predicted.prior.mean, predicted.prior.log_scale, predicted.durations


class FlowGraph(nn.Module):
    """Second of three parts: z_p, sampled from the prior, to z."""

    def __init__(self, model: Generator) -> None:
        super().__init__()
        self.flow = model.flow
        self.speaker_embedding = model.speaker_embedding

    def forward(self, latents: Tensor, mask: Tensor, sid: Tensor | None = None) -> Tensor:
        """latents [B, C, F], mask [B, 1, F] float, sid [B] (multi-speaker only) -> [B, C, F]."""
        speaker = None
        if self.speaker_embedding is not None:
            speaker = self.speaker_embedding(sid).unsqueeze(2)
        # The mask is float as in Piper's graphs; attention needs a boolean one.
        z: Tensor = self.flow.inverse(latents, mask > 0, speaker)
        return z


class DecoderGraph(nn.Module):
    """Third of three parts: any range of frames of the latents to samples."""

    def __init__(self, model: Generator) -> None:
        super().__init__()
        self.decoder = model.decoder
        self.speaker_embedding = model.speaker_embedding

    def forward(self, latents: Tensor, sid: Tensor | None = None) -> Tensor:
        """latents [B, C, F], sid [B] (multi-speaker only) -> output [B, 1, 1, N]."""
        speaker = None
        if self.speaker_embedding is not None:
            speaker = self.speaker_embedding(sid).unsqueeze(2)
        waveform: Tensor = self.decoder(latents, None, speaker)
        return waveform.unsqueeze(1).unsqueeze(1)


def _speakers(sid: Tensor | None, ids: Tensor) -> Tensor:
    """Speaker ids [B]; zeros for a single-speaker model, which ignores them."""
    return ids.new_zeros(ids.size(0)) if sid is None else sid


def _to_size(frames: Tensor) -> int:
    """Read a data-dependent size from a scalar tensor.

    torch.export specializes on sizes 0 and 1, so it is told that the size is at least 2. The exported
    graph is valid for a size of 1 as well.
    """
    size: Any = frames.item()
    check: Any = torch._check  # Only some versions of PyTorch annotate it.
    check(size >= 2)
    return cast(int, size)


def _frame_to_token(ends: Tensor, frames: int) -> Tensor:
    """Token index of each frame: ends [B, T], cumulative durations -> [B, F].

    As `inference.frame_to_token`, without `searchsorted`, which ONNX lacks.
    """
    frame = torch.arange(frames, device=ends.device).view(1, -1, 1)
    return (frame >= ends.unsqueeze(1)).sum(dim=2).clamp_max(ends.size(1) - 1)
