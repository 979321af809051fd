"""All updates of a plan as one loop over buffers that stay where they are, as a CUDA graph has to have it.

A GPU is done with a layer's kernels before Python has launched the next layer's. So there an utterance is taken
whole, and a graph launches all kernels of all layers in all updates at once. A graph is for one number of
samples: buffers have some room past the end of the utterance, where every layer is given zeros for as far as
it sees, as it would be if nothing were there.

Legend: C channels, M mel bands, F frames, N samples of the utterance, R samples that there is room for.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

import torch
from torch import Tensor

from allophone.inference.devices import capture_cuda_graph
from allophone_diffwave.folded import FoldedDenoiser, StepBiases
from allophone_diffwave.samplers import Plan
from allophone_diffwave.sampling import Progress, SeededNoise, advance

LONGEST = 2**18
"""Samples of the longest utterance that is taken whole."""
ROOM = 2**15
"""Buffers have room for a multiple of so many samples: so that utterances of any length need few graphs."""
LOOPS = 4
"""How many are kept, those that were used last."""


class StaticLoop:
    """Follows a plan over utterances of up to R samples. What it computes past their ends is of no account.

    hidden: [margin + R + margin, C], what a layer is given, with as much around it as layers see.
    past: [margin], the rows of it that follow the utterance.
    """

    def __init__(
        self, denoiser: FoldedDenoiser, plan: Plan, room: int, *, clamp_always: bool
    ) -> None:
        self._denoiser = denoiser
        self._plan = plan
        self._clamp_always = clamp_always
        self._biases = [denoiser.step_biases(update.step) for update in plan.updates]
        self._margin = margin = max(layer.dilation for layer in denoiser.layers)
        device, dtype = denoiser.device, denoiser.dtype
        self._room = room
        self._bands = torch.zeros(room, denoiser.mels, dtype=dtype, device=device)
        self._hidden = torch.zeros(
            margin + room + margin, denoiser.channels, dtype=dtype, device=device
        )
        self._past = torch.arange(margin, device=device)
        drawing = [number for number, update in enumerate(plan.updates, start=1) if update.noise]
        self._noise = {number: torch.zeros(room, device=device) for number in (0, *drawing)}
        self._waveform = torch.zeros(room, device=device)
        self._run: Callable[[], None] = self._follow
        if device.type == "cuda":
            self._follow()
            self._run = capture_cuda_graph(self._follow)

    def waveform(self, mel: Tensor, noise: SeededNoise) -> Tensor:
        """Samples [N] from -1 to 1 of a mel [M, F]."""
        samples = mel.size(1) * self._denoiser.hop_length
        self._bands[:samples] = self._denoiser.upsampled(mel)
        for update, drawn in self._noise.items():
            drawn[:samples] = noise.draw(update, 0, samples)
        torch.arange(self._margin + samples, self._margin + samples + self._margin, out=self._past)
        self._run()
        return self._waveform[:samples].clone()

    def _follow(self) -> None:
        """From noise to `_waveform`: the same kernels each time, whatever is in the buffers."""
        beginning = self._plan.start * self._noise[0]
        progress = Progress(waveform=beginning, clean=torch.zeros_like(beginning))
        updates = zip(self._plan.updates, self._biases, strict=True)
        for number, (update, biases) in enumerate(updates, start=1):
            predicted_noise = self._predict(progress.waveform, biases)
            progress = advance(progress, predicted_noise, update, self._noise.get(number))
            if self._clamp_always:
                progress.waveform.clamp_(-1, 1)
        self._waveform.copy_(progress.waveform.clamp_(-1, 1))

    def _predict(self, noisy: Tensor, biases: StepBiases) -> Tensor:
        """The noise in a waveform [R]."""
        begin, end = self._margin, self._margin + self._room
        hidden = self._hidden[begin:end]
        hidden.copy_(self._denoiser.entered(noisy, biases))
        skips = torch.zeros(hidden.shape, device=hidden.device)
        for layer, bias in zip(self._denoiser.layers, biases.outputs, strict=True):
            self._hidden.index_fill_(0, self._past, 0)
            around = self._hidden[begin - layer.dilation : end + layer.dilation]
            change, skip = layer(around, self._bands, bias)
            torch.add(change, hidden, alpha=1 / math.sqrt(2), out=hidden)
            skips += skip
        return self._denoiser.output(skips)


class StaticLoops:
    """A plan's loops by the samples that they have room for, each made when it is needed."""

    def __init__(self, denoiser: FoldedDenoiser, plan: Plan, *, clamp_always: bool) -> None:
        self._denoiser = denoiser
        self._plan = plan
        self._clamp_always = clamp_always
        self._loops: OrderedDict[int, StaticLoop] = OrderedDict()
        self._lock = Lock()

    def take(self, mel: Tensor) -> bool:
        """Whether a mel [M, F] is short enough to be taken whole."""
        return 0 < mel.size(1) * self._denoiser.hop_length <= LONGEST

    def waveform(self, mel: Tensor, *, seed: int) -> Tensor:
        """Samples [N] from -1 to 1 of a mel [M, F] that `take` agrees to."""
        samples = mel.size(1) * self._denoiser.hop_length
        noise = SeededNoise(seed=seed, device=self._denoiser.device)
        with self._lock:
            return self._with_room(-(-samples // ROOM) * ROOM).waveform(mel, noise)

    def _with_room(self, room: int) -> StaticLoop:
        if room not in self._loops:
            if len(self._loops) == LOOPS:
                self._loops.popitem(last=False)
            # Buffers made in inference mode could not be written to outside of it.
            with torch.inference_mode(False), torch.no_grad():
                self._loops[room] = StaticLoop(
                    self._denoiser, self._plan, room, clamp_always=self._clamp_always
                )
        self._loops.move_to_end(room)
        return self._loops[room]
