"""An ONNX graph in an onnxruntime session."""

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
        if isinstance(model, Path) and not model.is_file():
            raise UserError(f"{model} is missing.", hint="Copy all files of the voice again.")
        # Keep a reference: onnxruntime does not own these, and may not copy all of them.
        self._weights = weights
        try:
            self._session = onnxruntime.InferenceSession(
                model if isinstance(model, bytes) else str(model), options, providers=providers
            )
        # onnxruntime's exceptions have no common base class.
        except Exception as error:
            raise UserError(
                f"{source} is not an ONNX file, or is truncated or corrupt: {error}",
                hint="It was probably copied or downloaded in part; fetch it again.",
            ) from error
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
        results: list[NDArray[Any]] = self._session.run(None, taken)
        return results


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
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def providers_of(device: str) -> list[str]:
    """onnxruntime's execution providers for a device; UserError for one that it cannot use."""
    kind = device.partition(":")[0]
    if kind == "cpu":
        return ["CPUExecutionProvider"]
    provider = f"{kind.upper()}ExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise UserError(
            f"The installed onnxruntime does not support the device '{device}'.",
            hint="For CUDA, install onnxruntime-gpu instead; or omit --device; or use another engine: "
            "--engine torch",
        )
    return [provider, "CPUExecutionProvider"]
