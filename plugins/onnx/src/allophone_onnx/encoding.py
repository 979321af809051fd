"""From ids to the prior and the duration of each id, for a voice in parts.

T text, C latent channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from allophone_onnx.session import Feed, Graph

_Floats = NDArray[np.float32]

_FRAMES_PER_ID = 4 / 3
"""The mean over a text's first ids is at least that at usual speed, but for 2 of 1,200 sentences of three voices."""

_LEAST_RATIO = 5
"""A text of fewer times the ids of its beginning is encoded at once: a beginning depends on some 50 ids after it, and what
follows on as many before, so these are computed twice."""


@frozen(kw_only=True, eq=False)
class EncodedText:
    """Some ids of a text.

    mean, log_scale: of the prior [1, C, T]. durations: in frames [T]. complete: whether the text ends with them.
    """

    mean: _Floats
    log_scale: _Floats
    durations: NDArray[np.int64]
    complete: bool

    @property
    def frames(self) -> int:
        return int(self.durations.sum())

    def followed_by(self, rest: EncodedText) -> EncodedText:
        """These ids, and those after them."""
        return EncodedText(
            mean=np.concatenate([self.mean, rest.mean], axis=2),
            log_scale=np.concatenate([self.log_scale, rest.log_scale], axis=2),
            durations=np.concatenate([self.durations, rest.durations]),
            complete=rest.complete,
        )


class Encoder(Protocol):
    """The encoder of a voice."""

    def encode(self, feed: Feed, *, frames: int | None = None) -> Iterator[EncodedText]:
        """Yield the encoded text; before that, if it is ready much sooner, a beginning of at least `frames` frames.

        feed: the inputs of the exported graph, for one sentence.
        """


class WholeEncoder:
    """One graph, which encodes whole texts."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def encode(self, feed: Feed, *, frames: int | None = None) -> Iterator[EncodedText]:
        mean, log_scale, durations = self._graph(feed)
        yield EncodedText(
            mean=mean,
            log_scale=log_scale,
            durations=durations.reshape(-1).astype(np.int64),
            complete=True,
        )


class WindowedEncoder:
    """The two graphs of `rewriting.text_encoder`, of which the second one encodes any window of a text."""

    def __init__(self, context: Graph, prior: Graph) -> None:
        self._context = context
        self._prior = prior

    def encode(self, feed: Feed, *, frames: int | None = None) -> Iterator[EncodedText]:
        (hidden,) = self._context(feed)
        feed, size = {**feed, "hidden": hidden}, len(hidden)
        if frames is not None:
            _, length_scale, _ = feed["scales"]
            # Fast speech has one frame per id, or hardly less.
            count = math.ceil(frames / max(1.0, _FRAMES_PER_ID * min(1.0, length_scale)))
            if _LEAST_RATIO * count <= size:
                beginning = self._window(feed, 0, count, size)
                if beginning.frames >= frames:
                    yield beginning
                    yield beginning.followed_by(self._window(feed, count, size, size))
                    return
        yield self._window(feed, 0, size, size)

    def _window(self, feed: Feed, start: int, end: int, size: int) -> EncodedText:
        """Encode positions `start` to `end` of a text of `size` ids."""
        mean, log_scale, durations = self._prior({**feed, "window": np.array([start, end])})
        return EncodedText(
            mean=mean,
            log_scale=log_scale,
            durations=durations.reshape(-1).astype(np.int64),
            complete=end == size,
        )
