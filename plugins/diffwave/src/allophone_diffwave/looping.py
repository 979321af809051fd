"""All updates of a plan as one loop over static buffers, as CUDA graphs require.

A GPU finishes the kernels of a layer before Python has launched those of the next. So on a GPU, an utterance is
processed as a whole, and one graph launches the kernels of all layers in all updates. A graph has a fixed number
of samples, so the buffers may be longer than the utterance. Past its end, the input of every layer is zero for
the width of the layer's context, as it is at the end of a shorter buffer.

Legend: C channels, M mel bands, F frames, N samples of the utterance, R capacity of the buffers in samples.
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
from allophone_diffwave.sampling import SamplerState, SeededNoise, apply_update

MAX_SAMPLES = 2**18
"""Longer utterances are processed in chunks."""
CAPACITY_STEP = 2**15
"""Capacities are multiples of this, so that utterances of all lengths share few graphs."""
MAX_LOOPS = 4
"""How many loops are kept, the most recently used ones."""


class StaticLoop:
    """Runs a plan on utterances of up to R samples. Samples past the end of an utterance are ignored.

    hidden: [margin + R + margin, C], the input of a layer with its context.
    past: [margin], the indices of the rows of `hidden` that follow the utterance.
    """

    def __init__(
        self, denoiser: FoldedDenoiser, plan: Plan, capacity: int, *, clamp_always: bool
    ) -> None:
        self._denoiser = denoiser
        self._plan = plan
        self._clamp_always = clamp_always
        self._biases = [denoiser.step_biases(update.step) for update in plan.updates]
        self._margin = margin = max(layer.dilation for layer in denoiser.layers)
        device, dtype = denoiser.device, denoiser.dtype
        self._capacity = capacity
        self._bands = torch.zeros(capacity, denoiser.mels, dtype=dtype, device=device)
        self._hidden = torch.zeros(
            margin + capacity + margin, denoiser.channels, dtype=dtype, device=device
        )
        self._past = torch.arange(margin, device=device)
        drawing = [number for number, update in enumerate(plan.updates, start=1) if update.noise]
        self._noise = {number: torch.zeros(capacity, device=device) for number in (0, *drawing)}
        self._waveform = torch.zeros(capacity, device=device)
        self._run: Callable[[], None] = self._run_plan
        if device.type == "cuda":
            self._run_plan()
            self._run = capture_cuda_graph(self._run_plan)

    def waveform(self, mel: Tensor, noise: SeededNoise) -> Tensor:
        """mel [M, F] -> samples [N] from -1 to 1."""
        samples = mel.size(1) * self._denoiser.hop_length
        self._bands[:samples] = self._denoiser.upsampled(mel)
        for update, drawn in self._noise.items():
            drawn[:samples] = noise.draw(update, 0, samples)
        torch.arange(self._margin + samples, self._margin + samples + self._margin, out=self._past)
        self._run()
        return self._waveform[:samples].clone()

    def _run_plan(self) -> None:
        """Denoise into `_waveform`, with the same kernels on each call."""
        beginning = self._plan.start * self._noise[0]
        state = SamplerState(waveform=beginning, clean=torch.zeros_like(beginning))
        updates = zip(self._plan.updates, self._biases, strict=True)
        for number, (update, biases) in enumerate(updates, start=1):
            predicted_noise = self._predict(state.waveform, biases)
            state = apply_update(state, predicted_noise, update, self._noise.get(number))
            if self._clamp_always:
                state.waveform.clamp_(-1, 1)
        self._waveform.copy_(state.waveform.clamp_(-1, 1))

    def _predict(self, noisy: Tensor, biases: StepBiases) -> Tensor:
        """noisy [R] -> the predicted noise [R]."""
        begin, end = self._margin, self._margin + self._capacity
        hidden = self._hidden[begin:end]
        hidden.copy_(self._denoiser.input(noisy, biases))
        skips = torch.zeros(hidden.shape, device=hidden.device)
        for layer, bias in zip(self._denoiser.layers, biases.outputs, strict=True):
            self._hidden.index_fill_(0, self._past, 0)
            around = self._hidden[begin - layer.dilation : end + layer.dilation]
            change, skip = layer(around, self._bands, bias)
            torch.add(change, hidden, alpha=1 / math.sqrt(2), out=hidden)
            skips += skip
        return self._denoiser.output(skips)


class StaticLoops:
    """The loops of a plan by capacity, created on demand."""

    def __init__(self, denoiser: FoldedDenoiser, plan: Plan, *, clamp_always: bool) -> None:
        self._denoiser = denoiser
        self._plan = plan
        self._clamp_always = clamp_always
        self._loops: OrderedDict[int, StaticLoop] = OrderedDict()
        self._lock = Lock()

    def accepts(self, mel: Tensor) -> bool:
        """Whether a mel [M, F] is short enough."""
        return 0 < mel.size(1) * self._denoiser.hop_length <= MAX_SAMPLES

    def waveform(self, mel: Tensor, *, seed: int) -> Tensor:
        """mel [M, F], for which `accepts` is true -> samples [N] from -1 to 1."""
        samples = mel.size(1) * self._denoiser.hop_length
        noise = SeededNoise(seed=seed, device=self._denoiser.device)
        with self._lock:
            return self._loop(-(-samples // CAPACITY_STEP) * CAPACITY_STEP).waveform(mel, noise)

    def _loop(self, capacity: int) -> StaticLoop:
        if capacity not in self._loops:
            if len(self._loops) == MAX_LOOPS:
                self._loops.popitem(last=False)
            # Buffers created in inference mode cannot be written to outside of it.
            with torch.inference_mode(False), torch.no_grad():
                self._loops[capacity] = StaticLoop(
                    self._denoiser, self._plan, capacity, clamp_always=self._clamp_always
                )
        self._loops.move_to_end(capacity)
        return self._loops[capacity]
