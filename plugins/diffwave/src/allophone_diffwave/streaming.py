"""The denoiser as a stream: takes samples chunk by chunk, and returns the noise in them with a delay.

The noise in a sample depends on `FoldedDenoiser.receptive_margin` samples on each side. Running the network on
overlapping chunks would compute this context again for each chunk and each step. Here, every layer keeps the
context of its next chunk, and outputs a sample once its look-ahead has arrived. So nothing is computed twice,
chunks join to exactly the whole, chunks can be small enough for a CPU's cache, and memory does not grow
with the utterance.

Legend: C channels, M mel bands, F frames, N samples.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from allophone_diffwave.folded import FoldedDenoiser, StepBiases

MEL_FRAMES = 128
"""Frames that are upsampled at once."""


class UpsampledMel:
    """A mel at the sample rate, computed on demand and discarded after use."""

    def __init__(self, denoiser: FoldedDenoiser, mel: Tensor) -> None:
        """mel [M, F]."""
        self._denoiser = denoiser
        self._mel = mel
        self._known = mel.new_empty(0, len(mel), dtype=denoiser.dtype)
        self._begin = 0
        self._frames = 0

    def rows(self, start: int, stop: int) -> Tensor:
        """Samples `start` to `stop`, [N, M], which must not have been discarded."""
        assert start >= self._begin
        while self._begin + len(self._known) < stop:
            self._known = torch.cat([self._known, self._next()])
        return self._known[start - self._begin : stop - self._begin]

    def discard(self, until: int) -> None:
        """Discard everything before sample `until`."""
        self._known = self._known[until - self._begin :]
        self._begin = until

    def _next(self) -> Tensor:
        """The next frames, upsampled with their context."""
        margin, hop_length = self._denoiser.mel_margin, self._denoiser.hop_length
        first, last = self._frames, min(self._frames + MEL_FRAMES, self._mel.size(1))
        assert first < last
        before = min(first, margin)
        upsampled = self._denoiser.upsampled(self._mel[:, first - before : last + margin])
        self._frames = last
        return upsampled[before * hop_length : (before + last - first) * hop_length]


class Buffers:
    """Input and output buffers of a layer, shared by all layers of all streams.

    The `history` rows before the current chunk hold the context that a layer has kept. The last chunk of an
    utterance is longer by the total delay of the layers.
    """

    def __init__(self, denoiser: FoldedDenoiser, chunk: int) -> None:
        self.chunk = chunk
        self.history = 2 * max(layer.dilation for layer in denoiser.layers)
        shape = (self.history + chunk + denoiser.receptive_margin, denoiser.channels)
        self.input = torch.zeros(shape, dtype=denoiser.dtype, device=denoiser.device)
        self.output = torch.zeros_like(self.input)

    def swap(self) -> None:
        """Make the output of one layer the input of the next."""
        self.input, self.output = self.output, self.input


class DenoiserStream:
    """One pass of a denoiser over an utterance, at one diffusion step.

    Each layer keeps the last `2 * dilation` rows of its input as context of the next chunk. Each layer adds
    delay, so the sums of skips are kept until the last layer has been added.
    """

    def __init__(
        self, denoiser: FoldedDenoiser, biases: StepBiases, bands: UpsampledMel, buffers: Buffers
    ) -> None:
        self._denoiser = denoiser
        self._biases = biases
        self._bands = bands
        self._buffers = buffers
        self._context = [
            torch.zeros_like(buffers.input[: layer.dilation]) for layer in denoiser.layers
        ]
        self._consumed = [0] * len(denoiser.layers)
        self._skips = torch.zeros(0, denoiser.channels, device=denoiser.device)
        self._done = 0

    def push(self, noisy: Tensor, *, last: bool) -> Tensor:
        """Add the next samples, noisy [N]; return the noise in the samples that are finished, [N'].

        last: whether these are the last samples; then all remaining noise is returned.
        """
        if not len(noisy) and not last:
            return noisy
        chunks = torch.split(noisy, self._buffers.chunk)
        return torch.cat(
            [
                self._chunk(chunk, last=last and number == len(chunks))
                for number, chunk in enumerate(chunks, start=1)
            ]
        )

    def _chunk(self, noisy: Tensor, *, last: bool) -> Tensor:
        buffers, begin = self._buffers, self._buffers.history
        rows = len(noisy)
        buffers.input[begin : begin + rows] = self._denoiser.input(noisy, self._biases)
        self._skips = torch.cat([self._skips, self._skips.new_empty(rows, self._denoiser.channels)])
        for number in range(len(self._denoiser.layers)):
            rows = self._layer(number, rows, last=last)
            buffers.swap()
        done, self._skips = self._skips[:rows], self._skips[rows:]
        self._done += rows
        return self._denoiser.output(done) if rows else done[:, 0]

    def _layer(self, number: int, rows: int, *, last: bool) -> int:
        """Run a layer on the rows in `buffers.input`; return the number of rows in `buffers.output`."""
        layer, context = self._denoiser.layers[number], self._context[number]
        rows_in, begin = self._buffers.input, self._buffers.history
        first, end = begin - len(context), begin + rows
        rows_in[first:begin] = context
        if last:
            rows_in[end : end + layer.dilation] = 0
            end += layer.dilation
        count = max(0, end - first - 2 * layer.dilation)
        self._context[number] = rows_in[first + count : end].clone()
        if not count:
            return 0
        around = rows_in[first : first + count + 2 * layer.dilation]
        start = self._consumed[number]
        self._consumed[number] = start + count
        bands = self._bands.rows(start, start + count)
        change, skip = layer(around, bands, self._biases.outputs[number])
        torch.add(
            change,
            around[layer.dilation : layer.dilation + count],
            alpha=1 / math.sqrt(2),
            out=self._buffers.output[begin : begin + count],
        )
        sums = self._skips[start - self._done : start - self._done + count]
        # The first layer reaches each sample first, when its sum is uninitialised.
        sums.add_(skip) if number else sums.copy_(skip)
        return count
