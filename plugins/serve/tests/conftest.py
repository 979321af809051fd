"""Makes the toys of these tests importable, and serves them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import serve_toys


@pytest.fixture(scope="session")
def toys(tmp_path_factory):
    """A server of toys that answers at once: its URL and its service."""
    voices = serve_toys.toy_voices(tmp_path_factory.mktemp("voices"), nova="duo:boris", me="duo")
    with serve_toys.running(voices) as (url, service):
        yield url, service


@pytest.fixture(scope="session")
def url(toys):
    return toys[0]
