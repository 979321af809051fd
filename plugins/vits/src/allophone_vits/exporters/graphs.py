"""What is exported of a model: modules whose inputs and outputs are those of the ONNX files.

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
from allophone_vits.inference import plan_speech
from allophone_vits.layers import masked, sequence_mask
from allophone_vits.model import Generator


@frozen(kw_only=True)
class Read:
    """latents: [B, C, F], zero past an utterance; mask: [B, 1, F]; durations: [B, T], frames."""

    latents: Tensor
    mask: Tensor
    durations: Tensor


class _TextGraph(nn.Module):
    """What begins with ids: text encoder, durations and the flow's inverse (figure 1b).

    controls: how it is spoken, where the graph's inputs do not say.
    """

    def __init__(self, model: Generator, controls: VitsControls) -> None:
        super().__init__()
        self.model = model
        self._controls = attrs.asdict(controls, recurse=False)

    def _read(self, ids: Tensor, lengths: Tensor, scales: Tensor, speakers: Tensor) -> Read:
        """ids [B, T], lengths [B], speakers [B]; scales [3 or 4]: of noise, length, noise of durations.

        A fourth scale is a seed: row r is said with it plus r, as sentence r of a text is. Without
        one, what is random is so each time.
        """
        model = self.model
        seed = torch.cat([scales, torch.full_like(scales[:1], -1.0)])[3].long()
        controls = self._with(scales)
        mask = sequence_mask(lengths, ids.size(1))
        plan = plan_speech(
            model,
            tokens=ids,
            mask=mask,
            speakers=speakers,
            noise=self._duration_noise(ids, seed),
            controls=controls,
        )
        ends = plan.durations.cumsum(dim=1)
        frames = _count(ends[:, -1].max())
        index = _tokens_of_frames(ends, frames)
        frame_mask = sequence_mask(ends[:, -1], frames)
        prior = plan.prior.expand(index)
        noise = seeded_noise(seed, Stream.LATENT, channels=prior.mean.size(1), like=index)
        drawn = masked(prior.sample(noise * controls.noise_scale), frame_mask)
        return Read(
            latents=model.flow.inverse(drawn, frame_mask, plan.speaker),
            mask=frame_mask,
            durations=plan.durations,
        )

    def _with(self, scales: Tensor) -> VitsControls:
        """The controls with tensors for numbers, at which their validators shall not look."""
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


class SpeakingGraph(_TextGraph):
    """The whole model: ids to samples, as Piper's files are called."""

    def forward(
        self, input: Tensor, input_lengths: Tensor, scales: Tensor, sid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """input [B, T] ids, input_lengths [B], scales [3 or 4]; sid [B] where there are speakers.

        Returns output [B, 1, 1, N], zero past an utterance, and durations [B, T] in frames.
        """
        speakers = _speakers(sid, input)
        read = self._read(input, input_lengths, scales, speakers)
        waveform = self.model.decoder(read.latents, read.mask, self.model.speaker(speakers))
        return waveform.unsqueeze(1).unsqueeze(1), read.durations


class EncoderGraph(_TextGraph):
    """The first part of three: ids to each id's prior and duration."""

    def forward(
        self,
        input: Tensor,
        input_lengths: Tensor,
        scales: Tensor,
        duration_noise: Tensor,
        sid: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `SpeakingGraph.forward`; duration_noise [B, channels, T].

        Returns the prior's mean and the logarithm of its scale [B, C, T], and durations [B, T] in frames.
        """
        plan = plan_speech(
            self.model,
            tokens=input,
            mask=sequence_mask(input_lengths, input.size(1)),
            speakers=_speakers(sid, input),
            noise=duration_noise,
            controls=self._with(scales),
        )
        return plan.prior.mean, plan.prior.log_scale, plan.durations


class FlowGraph(nn.Module):
    """The second part: what was drawn from the prior to what is decoded."""

    def __init__(self, model: Generator) -> None:
        super().__init__()
        self.flow = model.flow
        self.speaker_embedding = model.speaker_embedding

    def forward(self, latents: Tensor, mask: Tensor, sid: Tensor | None = None) -> Tensor:
        """latents [B, C, F], mask [B, 1, F] float, sid [B] for a model of several speakers -> [B, C, F]."""
        speaker = None
        if self.speaker_embedding is not None:
            speaker = self.speaker_embedding(sid).unsqueeze(2)
        # Piper's graphs, cut in the same places, have a mask of numbers; attention needs one of truth values.
        drawn: Tensor = self.flow.inverse(latents, mask > 0, speaker)
        return drawn


class DecoderGraph(nn.Module):
    """The third part: any stretch of one utterance's latents to its samples."""

    def __init__(self, model: Generator) -> None:
        super().__init__()
        self.decoder = model.decoder
        self.speaker_embedding = model.speaker_embedding

    def forward(self, latents: Tensor, sid: Tensor | None = None) -> Tensor:
        """latents [B, C, F], sid [B] for a model of several speakers -> output [B, 1, 1, N]."""
        speaker = None
        if self.speaker_embedding is not None:
            speaker = self.speaker_embedding(sid).unsqueeze(2)
        waveform: Tensor = self.decoder(latents, None, speaker)
        return waveform.unsqueeze(1).unsqueeze(1)


def _speakers(sid: Tensor | None, ids: Tensor) -> Tensor:
    """Speaker ids [B]; a model of one speaker looks at none."""
    return ids.new_zeros(ids.size(0)) if sid is None else sid


def _count(frames: Tensor) -> int:
    """The number that a tensor [] holds, which the exporter does not know.

    It is told what it takes for granted of all free sizes: that they are not 1, where tensors would be
    broadcast. What it writes holds for 1 as well.
    """
    count: Any = frames.item()
    check: Any = torch._check  # Typed in some versions of PyTorch only.
    check(count >= 2)
    return cast(int, count)


def _tokens_of_frames(ends: Tensor, frames: int) -> Tensor:
    """Which token each frame says: ends [B, T], the frame before which each token ends -> [B, F].

    As `inference.tokens_of_frames`, but without the search, for which ONNX has no operator.
    """
    frame = torch.arange(frames, device=ends.device).view(1, -1, 1)
    return (frame >= ends.unsqueeze(1)).sum(dim=2).clamp_max(ends.size(1) - 1)
