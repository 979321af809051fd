"""Where PyTorch computes, and how its samples leave it. N samples."""

from __future__ import annotations

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
