"""Where things are kept that can be made again, such as voices converted from packages. Light."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return Allophone's folder in the user's cache, below XDG_CACHE_HOME if set; it may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "allophone"
