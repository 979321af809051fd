"""Time of the parts of a training step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

POSTERIOR_ENCODER = "posterior encoder"
FLOW = "flow"
DECODER = "decoder"
SEARCH = "alignment search"
REST_OF_GENERATOR = "rest of the generator: text, durations"
DISCRIMINATORS = "discriminators' step: forward, backward"
LOSSES = "generator's losses"
BACKWARD = "generator's backward"
OPTIMIZERS = "optimizers"
OTHER = "everything else: spectrograms, checks"

PARTS = (
    POSTERIOR_ENCODER,
    FLOW,
    DECODER,
    SEARCH,
    REST_OF_GENERATOR,
    DISCRIMINATORS,
    LOSSES,
    BACKWARD,
    OPTIMIZERS,
    OTHER,
)


class Stopwatch:
    """Sums the time of each part, without that of nested parts."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._inside: list[str] = []
        self._since = 0.0
        self._seconds: defaultdict[str, float] = defaultdict(float)
        register_optimizer_step_pre_hook(lambda *_: self._enter(OPTIMIZERS))
        register_optimizer_step_post_hook(lambda *_: self._leave())

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time the body of the context."""
        self._enter(name)
        try:
            yield
        finally:
            self._leave()

    def watch(self, owner: Any, name: str, part: str | Callable[..., str]) -> None:
        """Time a function of a module or a method of an object, from now on.

        part: what it is part of, or what tells that from its arguments.
        """
        function = getattr(owner, name)

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.part(part if isinstance(part, str) else part(*args, **kwargs)):
                return function(*args, **kwargs)

        setattr(owner, name, timed)

    def step(self, function: Callable[[], object]) -> Mapping[str, float]:
        """The seconds that each part of one step takes."""
        self._seconds.clear()
        with self.part(OTHER):
            function()
        return self._seconds.copy()

    def _enter(self, part: str) -> None:
        self._count()
        self._inside.append(part)

    def _leave(self) -> None:
        self._count()
        self._inside.pop()

    def _count(self) -> None:
        now = self._clock()
        if self._inside:
            self._seconds[self._inside[-1]] += now - self._since
        self._since = now
