"""An ONNX graph that is ready to run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from allophone.errors import UserError

Feed = Mapping[str, NDArray[Any]]
"""Inputs of a graph by name."""

_ERRORS_ONLY = 3


class Graph:
    """A graph in onnxruntime.

    inputs: the sizes of each input by name, a number where it is fixed.
    """

    def __init__(
        self,
        model: Path | bytes,
        options: onnxruntime.SessionOptions,
        *,
        providers: Sequence[str],
        needs: Sequence[str],
        called: Path,
        weights: Sequence[onnxruntime.OrtValue] = (),
    ) -> None:
        """Load a graph.

        needs: the inputs that it must have. called: the file that it comes from, for errors. weights: what
        the options add from elsewhere.
        Raises UserError for a file that is missing, damaged or not of a voice.
        """
        if isinstance(model, Path) and not model.is_file():
            raise UserError(f"{model} is missing.", hint="Copy the voice again, whole.")
        # onnxruntime does not own these, and does not say that it copies all of them.
        self._weights = weights
        try:
            self._session = onnxruntime.InferenceSession(
                model if isinstance(model, bytes) else str(model), options, providers=providers
            )
        # onnxruntime has many kinds of exceptions, without a common base.
        except Exception as error:
            raise UserError(
                f"{called} is not an ONNX file, or is truncated or corrupt: {error}",
                hint="It was probably copied or downloaded in part; fetch it again.",
            ) from error
        self.inputs = {one.name: one.shape for one in self._session.get_inputs()}
        missing = [name for name in needs if name not in self.inputs]
        if missing:
            raise UserError(
                f"{called} is not a voice: it has no input {', '.join(missing)}, only "
                f"{', '.join(self.inputs)}."
            )

    def __call__(self, feed: Feed) -> list[NDArray[Any]]:
        """Run it; inputs that the graph does not have are left out."""
        taken = {name: value for name, value in feed.items() if name in self.inputs}
        results: list[NDArray[Any]] = self._session.run(None, taken)
        return results


def session_options(threads: int | None = None) -> onnxruntime.SessionOptions:
    """Options of all sessions. threads: the processors that this process may use, unless given."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or usable_threads()
    options.log_severity_level = _ERRORS_ONLY
    # Waking a thread takes as long as a small operator, so threads spin between operators, but no longer than
    # that, and not after a graph's last one: the next graph, or another process, needs the processor.
    options.add_session_config_entry("session.intra_op.spin_duration_us", "20")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def usable_threads() -> int:
    """OMP_NUM_THREADS where it is set, or else the processors that this process may run on."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def providers_of(device: str) -> list[str]:
    """onnxruntime's execution providers for a device; UserError for one that it cannot use."""
    kind = device.partition(":")[0]
    if kind == "cpu":
        return ["CPUExecutionProvider"]
    provider = f"{kind.upper()}ExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise UserError(
            f"This onnxruntime cannot compute on '{device}'.",
            hint="For CUDA install onnxruntime-gpu in its place, leave out --device, or use another engine: "
            "--engine torch",
        )
    return [provider, "CPUExecutionProvider"]
