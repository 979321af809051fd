"""Where PyTorch computes, how its samples leave it, and CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from allophone.errors import UserError
from allophone.synthesis.engine import Samples


def parse_device(name: str) -> torch.device:
    """A device by its name; UserError for one that PyTorch does not know or this machine lacks."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(
            f"Invalid device '{name}'.", hint="Devices are called cpu, cuda, cuda:1."
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"The device '{name}' is not available: PyTorch finds {torch.cuda.device_count()} CUDA GPUs.",
            hint="Leave out --device, or run `allophone doctor`.",
        )
    return device


def to_numpy(waveform: Tensor) -> Samples:
    """Samples of any shape and device as a float32 NumPy array."""
    array = waveform.float().cpu().numpy()
    assert array.dtype == np.float32
    return array


def captured(function: Callable[[], None]) -> Callable[[], None]:
    """A function as a CUDA graph: calling what is returned launches all of its kernels at once.

    For what launches many small kernels over and over. It must do the same each time, to tensors that
    stay where they are. Nothing is run by capturing it, so call it once or twice before: libraries
    allocate what they need when they are first used.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    replay: Callable[[], None] = graph.replay
    return replay
