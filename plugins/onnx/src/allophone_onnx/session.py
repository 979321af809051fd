"""An ONNX graph in onnxruntime sessions."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from allophone.errors import UserError
from allophone.processes.processors import usable_processors

Feed = Mapping[str, NDArray[Any]]
"""Inputs of a graph by name."""

_CPU = "CPUExecutionProvider"
_ERRORS_ONLY = 3

_log = logging.getLogger(__name__)


class Graph:
    """A graph in onnxruntime. It may run in several threads at once.

    A graph that runs alone uses all processors. If others run too, on whatever voice, each uses one: in all, less
    time is lost with dividing operators.

    inputs: the shape of each input by name; dynamic sizes are strings.
    """

    def __init__(
        self,
        model: Path | bytes,
        options: onnxruntime.SessionOptions,
        *,
        providers: Sequence[str],
        needs: Sequence[str],
        source: Path,
        weights: Sequence[onnxruntime.OrtValue] = (),
    ) -> None:
        """Load a graph.

        needs: the required inputs. source: the file it comes from, for error messages. weights: values
        that the options refer to.
        Raises UserError if the file is missing, corrupt or not part of a voice.
        """
        if isinstance(model, Path):
            if not model.is_file():
                raise UserError(f"{model} is missing.", hint="Copy all files of the voice again.")
            model = model.read_bytes()
        # Keep a reference: onnxruntime does not own these, and may not copy all of them.
        self._weights = weights
        self._options = options
        self._providers = providers
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=providers)
        # onnxruntime's exceptions have no common base class.
        except Exception as error:
            raise UserError(
                f"{source} is not an ONNX file, or is truncated or corrupt: {error}",
                hint="It was probably copied or downloaded in part; fetch it again.",
            ) from error
        self._model = model
        self._divides = options.intra_op_num_threads != 1 and list(providers) == [_CPU]
        self._narrow: onnxruntime.InferenceSession | None = None
        self._opening = threading.Lock()
        self.inputs = {one.name: one.shape for one in self._session.get_inputs()}
        missing = [name for name in needs if name not in self.inputs]
        if missing:
            raise UserError(
                f"{source} is not a voice: it needs the inputs {', '.join(missing)}, and has only "
                f"{', '.join(self.inputs)}."
            )

    def __call__(self, feed: Feed) -> list[NDArray[Any]]:
        """Run the graph; inputs that it does not have are ignored."""
        taken = {name: value for name, value in feed.items() if name in self.inputs}
        with _running() as others:
            session = self._one_thread() if others else self._session
            results: list[NDArray[Any]] = session.run(None, taken)
        return results

    def _one_thread(self) -> onnxruntime.InferenceSession:
        """A session that uses one processor. It is opened when it is first needed, since it takes memory."""
        if not self._divides:
            return self._session
        with self._opening:
            if self._narrow is None:
                self._options.intra_op_num_threads = 1
                try:
                    self._narrow = onnxruntime.InferenceSession(
                        self._model, self._options, providers=self._providers
                    )
                except Exception as error:
                    # Its weights are no longer in the cache.
                    _log.info("A graph keeps dividing operators: %s", error)
                    self._narrow = self._session
            return self._narrow


_count = 0
_counting = threading.Lock()


@contextmanager
def _running() -> Iterator[int]:
    """A run of a graph; yields how many others there are in this process."""
    global _count
    with _counting:
        others = _count
        _count += 1
    try:
        yield others
    finally:
        with _counting:
            _count -= 1


def session_options(threads: int | None = None) -> onnxruntime.SessionOptions:
    """Options of all sessions. threads: defaults to the processors that this process may use."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or usable_threads()
    options.log_severity_level = _ERRORS_ONLY
    # Waking a thread takes as long as a small operator, so threads spin briefly between operators, but not after
    # the last operator of a graph, when the next graph or another process needs the processor.
    options.add_session_config_entry("session.intra_op.spin_duration_us", "20")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def usable_threads() -> int:
    """OMP_NUM_THREADS if set, otherwise the number of processors that this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    return usable_processors()


def providers_of(device: str) -> list[str]:
    """onnxruntime's execution providers for a device; UserError for one that it cannot use."""
    kind = device.partition(":")[0]
    if kind == "cpu":
        return [_CPU]
    provider = f"{kind.upper()}ExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise UserError(
            f"The installed onnxruntime does not support the device '{device}'.",
            hint="For CUDA, install onnxruntime-gpu instead; or omit --device; or use another engine: "
            "--engine torch",
        )
    return [provider, _CPU]
