"""The denoiser as a stream: samples go in piece by piece, and the noise in them comes out later.

The noise in a sample depends on what is around it, up to `FoldedDenoiser.reach`. A network that is run on a
piece of an utterance would have to see as much of its neighbours each time, and again in each step of a
sampler. Here every layer keeps the few samples that its next piece begins with, and gives each sample once it
has seen what follows. So nothing is computed twice, pieces join to exactly the whole, and a piece can be as
small as a CPU's cache wants it: memory does not grow with the utterance.

Legend: C channels, M mel bands, F frames, N samples.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from allophone_diffwave.folded import FoldedDenoiser, StepBiases

MEL_FRAMES = 128
"""Frames that are brought to the rate of samples at once."""


class Bands:
    """A mel at the rate of samples, computed as it is asked for, and forgotten when all are past it."""

    def __init__(self, denoiser: FoldedDenoiser, mel: Tensor) -> None:
        """mel [M, F]."""
        self._denoiser = denoiser
        self._mel = mel
        self._known = mel.new_empty(0, len(mel), dtype=denoiser.dtype)
        self._begin = 0
        self._frames = 0

    def rows(self, start: int, stop: int) -> Tensor:
        """Samples `start` to `stop`, [N, M]; not before what was forgotten."""
        assert start >= self._begin
        while self._begin + len(self._known) < stop:
            self._known = torch.cat([self._known, self._next()])
        return self._known[start - self._begin : stop - self._begin]

    def forget(self, until: int) -> None:
        """What lies before sample `until` will not be asked for again."""
        self._known = self._known[until - self._begin :]
        self._begin = until

    def _next(self) -> Tensor:
        """The next few frames, upsampled with as much around them as they depend on."""
        margin, hop_length = self._denoiser.mel_margin, self._denoiser.hop_length
        first, last = self._frames, min(self._frames + MEL_FRAMES, self._mel.size(1))
        assert first < last
        before = min(first, margin)
        upsampled = self._denoiser.upsampled(self._mel[:, first - before : last + margin])
        self._frames = last
        return upsampled[before * hop_length : (before + last - first) * hop_length]


class Scratch:
    """Memory that all layers of all streams share: what one of them is given, and what it gives.

    Rows are written behind `history` rows of room for what a layer has kept. At the end, all that the layers
    are behind comes at once.
    """

    def __init__(self, denoiser: FoldedDenoiser, piece: int) -> None:
        self.piece = piece
        self.history = 2 * max(layer.dilation for layer in denoiser.layers)
        shape = (self.history + piece + denoiser.reach, denoiser.channels)
        self.given = torch.zeros(shape, dtype=denoiser.dtype, device=denoiser.device)
        self.giving = torch.zeros_like(self.given)

    def turn(self) -> None:
        """What was given by one layer is given to the next."""
        self.given, self.giving = self.giving, self.given


class DenoiserStream:
    """One pass of a denoiser over an utterance, at one step of diffusion.

    Each layer keeps the last `2 * dilation` rows that it was given: those that its next piece begins
    with. Layers fall behind the waveform one after the other, so what they add up is kept too until
    the last of them has passed.
    """

    def __init__(
        self, denoiser: FoldedDenoiser, biases: StepBiases, bands: Bands, scratch: Scratch
    ) -> None:
        self._denoiser = denoiser
        self._biases = biases
        self._bands = bands
        self._scratch = scratch
        self._kept = [
            torch.zeros_like(scratch.given[: layer.dilation]) for layer in denoiser.layers
        ]
        self._given = [0] * len(denoiser.layers)
        self._skips = torch.zeros(0, denoiser.channels, device=denoiser.device)
        self._seen = 0

    def push(self, noisy: Tensor, *, last: bool) -> Tensor:
        """The noise in samples that are known by now, [N'], after the next ones, noisy [N], have come.

        last: after them comes nothing, and all that is missing is given.
        """
        if not len(noisy) and not last:
            return noisy
        pieces = torch.split(noisy, self._scratch.piece)
        return torch.cat(
            [
                self._piece(piece, last=last and number == len(pieces))
                for number, piece in enumerate(pieces, start=1)
            ]
        )

    def _piece(self, noisy: Tensor, *, last: bool) -> Tensor:
        scratch, begin = self._scratch, self._scratch.history
        rows = len(noisy)
        scratch.given[begin : begin + rows] = self._denoiser.entered(noisy, self._biases)
        self._skips = torch.cat([self._skips, self._skips.new_empty(rows, self._denoiser.channels)])
        for number in range(len(self._denoiser.layers)):
            rows = self._layer(number, rows, last=last)
            scratch.turn()
        done, self._skips = self._skips[:rows], self._skips[rows:]
        self._seen += rows
        return self._denoiser.output(done) if rows else done[:, 0]

    def _layer(self, number: int, rows: int, *, last: bool) -> int:
        """Give a layer the rows in `scratch.given`; how many it gives to `scratch.giving`."""
        layer, kept = self._denoiser.layers[number], self._kept[number]
        given, begin = self._scratch.given, self._scratch.history
        first, end = begin - len(kept), begin + rows
        given[first:begin] = kept
        if last:
            given[end : end + layer.dilation] = 0
            end += layer.dilation
        gives = max(0, end - first - 2 * layer.dilation)
        self._kept[number] = given[first + gives : end].clone()
        if not gives:
            return 0
        around = given[first : first + gives + 2 * layer.dilation]
        start = self._given[number]
        self._given[number] = start + gives
        bands = self._bands.rows(start, start + gives)
        change, skip = layer(around, bands, self._biases.outputs[number])
        torch.add(
            change,
            around[layer.dilation : layer.dilation + gives],
            alpha=1 / math.sqrt(2),
            out=self._scratch.giving[begin : begin + gives],
        )
        sums = self._skips[start - self._seen : start - self._seen + gives]
        # The first layer comes to each sample before the others, and finds no sum there.
        sums.add_(skip) if number else sums.copy_(skip)
        return gives
