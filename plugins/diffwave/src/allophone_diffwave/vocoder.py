"""The vocoder interface of DiffWave.

Legend: B batch, M mel bands, F frames, N samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.inference.protocol import VocoderSpec
from allophone.weights.loading import load_weights, skip_init
from allophone_diffwave.controls import DiffwaveControls
from allophone_diffwave.diffusion import NoiseSchedule
from allophone_diffwave.folded import FoldedDenoiser
from allophone_diffwave.looping import StaticLoops
from allophone_diffwave.network import Denoiser
from allophone_diffwave.samplers import make_plan
from allophone_diffwave.sampling import sample

_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def build_vocoder(
    spec: VocoderSpec, weights: Mapping[str, Tensor], device: torch.device
) -> DiffwaveVocoder:
    """Build a vocoder from a denoiser's weights.

    Raises ConfigError if the upsampling rates do not multiply to the hop length, and UserError if the
    weights do not match the configuration.
    """
    spec.vocoder.check_audio(spec.audio)
    with skip_init():
        denoiser = Denoiser(spec.vocoder, mels=spec.audio.n_mels)
    load_weights(denoiser, weights, where="this vocoder")
    denoiser.to(device).eval().requires_grad_(False)
    return DiffwaveVocoder(denoiser, spec, DiffwaveControls())


class DiffwaveVocoder:
    """A denoiser and a sampling plan.

    Noise depends only on the seed and the position of each sample, so an utterance is the same in
    any batch, and a stream joins to the whole.
    """

    def __init__(self, denoiser: Denoiser, spec: VocoderSpec, controls: DiffwaveControls) -> None:
        self.audio: MelSpec = spec.audio
        self.controls = controls
        self._denoiser = denoiser
        self._spec = spec
        self._folded = FoldedDenoiser(denoiser, dtype=_PRECISIONS[controls.precision])
        self._plan = make_plan(controls, NoiseSchedule.from_config(spec.vocoder.noise))
        self._clamp_always = controls.clamp == "always"
        self._loops: StaticLoops | None = None
        if self._folded.device.type == "cuda":
            self._loops = StaticLoops(self._folded, self._plan, clamp_always=self._clamp_always)

    def with_controls(self, controls: DiffwaveControls) -> DiffwaveVocoder:
        """The same denoiser with other controls."""
        return DiffwaveVocoder(self._denoiser, self._spec, controls)

    def vocode(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """mel [B, M, F], lengths [B] in frames -> waveform [B, F * hop_length], zero past lengths."""
        hop_length = self.audio.hop_length
        waveform = mel.new_zeros(len(mel), mel.size(2) * hop_length, dtype=torch.float32)
        for row, frames in enumerate(lengths.tolist()):
            start = 0
            for chunk in self.stream(mel[row : row + 1, :, :frames]):
                waveform[row, start : start + len(chunk)] = chunk
                start += len(chunk)
        return waveform

    @torch.no_grad()
    def stream(self, mel: Tensor) -> Iterator[Tensor]:
        """Yield the chunks [N] of one mel [1, M, F]; on a GPU, a short utterance is a single chunk."""
        mel, seed = mel[0].float(), self.controls.seed
        if self._loops is not None and self._loops.accepts(mel):
            yield self._loops.waveform(mel, seed=seed)
            return
        yield from sample(self._folded, mel, self._plan, seed=seed, clamp_always=self._clamp_always)
