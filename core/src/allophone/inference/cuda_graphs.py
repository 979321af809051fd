"""CUDA graphs, for what launches many small kernels over and over."""

from __future__ import annotations

from collections.abc import Callable

import torch


def captured(function: Callable[[], None]) -> Callable[[], None]:
    """A function as a CUDA graph: calling what is returned launches all of its kernels at once.

    It must do the same each time, to tensors that stay where they are. Nothing is run by capturing it, so
    call it once or twice before: libraries allocate what they need when they are first used.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    replay: Callable[[], None] = graph.replay
    return replay
