from __future__ import annotations

import pytest

from allophone.registry import default_registry
from allophone_testing import toys as toy_family


@pytest.fixture(scope="session")
def toys():
    """The toy models that speak: `toys.stored_voice(...)`, `toys.toy_registry()`, ..."""
    return toy_family


@pytest.fixture
def make_default(monkeypatch):
    """make_default(registry) makes a registry the one of this process, until the test ends.

    `default_registry` itself stays the same object: modules keep the one they were imported with.
    """

    def made(registry):
        monkeypatch.setattr("allophone.registry.build_registry", lambda: registry)
        default_registry.cache_clear()

    yield made
    default_registry.cache_clear()
