"""The markers `gpu` and `slow`, for every test suite that is run where Allophone is installed; pytest finds this by its entry point.

Imports nothing heavy: pytest loads it at every start.
"""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    config.addinivalue_line(
        "markers",
        "gpu: needs a CUDA GPU and is skipped without one; `pytest -m gpu` runs only these",
    )
    config.addinivalue_line(
        "markers",
        "slow: takes many seconds, mostly to start other processes; `pytest -m 'not slow'` leaves these out",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests with the marker `gpu` where there is no GPU."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU"))
