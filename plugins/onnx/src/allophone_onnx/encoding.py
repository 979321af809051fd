"""From ids to the prior and the duration of each id, for a voice in parts.

T text, C latent channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from allophone_onnx.rewriting.winograd import TILE
from allophone_onnx.session import Feed, Graph

_Floats = NDArray[np.float32]


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

    def __init__(self, context: Graph, prior: Graph, *, margin: int) -> None:
        """margin: positions at each end of a window that what is outside of it would affect."""
        self._context = context
        self._prior = prior
        self._margin = margin

    def encode(self, feed: Feed, *, frames: int | None = None) -> Iterator[EncodedText]:
        (hidden,) = self._context(feed)
        feed, size = {**feed, "hidden": hidden}, len(hidden)
        # As an id has at least one frame, so many ids suffice. What is near both windows is computed twice, which a
        # short text is not worth.
        if frames is not None and 2 * (frames + self._margin) <= size:
            beginning = self._window(feed, 0, frames, size)
            if beginning.frames >= frames:
                yield beginning
                yield beginning.followed_by(self._window(feed, frames, size, size))
                return
        yield self._window(feed, 0, size, size)

    def _window(self, feed: Feed, start: int, end: int, size: int) -> EncodedText:
        """Encode positions `start` to `end` of a text of `size` ids."""
        # A window that begins with a tile of the convolutions is computed as in the whole text.
        first, last = max(0, (start - self._margin) // TILE * TILE), min(size, end + self._margin)
        outputs = self._prior(
            {
                **feed,
                "window": np.array([first, last]),
                "duration_noise": feed["duration_noise"][:, :, first:last],
            }
        )
        mean, log_scale, durations = (one[..., start - first : end - first] for one in outputs)
        return EncodedText(
            mean=mean,
            log_scale=log_scale,
            durations=durations.reshape(-1).astype(np.int64),
            complete=end == size,
        )
