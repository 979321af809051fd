"""Makes the toys of these tests importable, and installs their voices."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import demo_toys


@pytest.fixture
def nothing_installed(monkeypatch):
    """No plugin but the core's own and those that a test adds."""
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [])


@pytest.fixture
def registry(tmp_path, nothing_installed):
    """Where the voices of `demo_toys` are installed."""
    return demo_toys.installed_voices(tmp_path)
