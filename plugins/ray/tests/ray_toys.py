"""Tasks for the processes of a test's cluster."""

from __future__ import annotations

import os
from pathlib import Path


def deadly():
    """A task whose parts end their process."""
    return lambda part: os._exit(1)


def dies_once(folder):
    """A task whose parts end their process the first time, and are multiplied by ten the next."""

    def run(part):
        tried = Path(folder) / str(part)
        if not tried.exists():
            tried.touch()
            os._exit(1)
        return 10 * part

    return run
