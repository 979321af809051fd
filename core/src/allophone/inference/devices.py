"""PyTorch devices, moving samples from them to NumPy, and CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from allophone.errors import UserError
from allophone.synthesis.engine import Samples


def parse_device(name: str) -> torch.device:
    """Parse a device name; UserError if it is invalid or not available on this machine."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(
            f"Invalid device '{name}'.", hint="Use cpu, cuda or a numbered GPU such as cuda:1."
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"The device '{name}' is not available: PyTorch finds {torch.cuda.device_count()} CUDA GPUs.",
            hint="Omit --device to use the CPU, or run `allophone doctor`.",
        )
    return device


def to_numpy(waveform: Tensor) -> Samples:
    """Convert samples of any shape, on any device, to a float32 NumPy array."""
    array = waveform.float().cpu().numpy()
    assert array.dtype == np.float32
    return array


def capture_cuda_graph(function: Callable[[], None]) -> Callable[[], None]:
    """Capture a function as a CUDA graph; calling the result replays all of its kernels in one launch.

    Use it for functions that launch many small kernels repeatedly. The function must launch the same kernels on
    the same tensors every time. Capturing does not execute them. Call the function once or twice before capturing,
    so that libraries allocate their workspaces.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    replay: Callable[[], None] = graph.replay
    return replay
