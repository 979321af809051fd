"""Whether a path is a file that can be read to its end. Light.

Opening a named pipe waits for somebody to write to it, and a device such as /dev/zero has no end, so what
comes from a user's list is looked at before it is opened.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def why_not_a_file(path: str | Path) -> str | None:
    """What is there instead of a file, as a sentence without its full stop; None for a file."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return f"there is no file {path}"
    except (OSError, ValueError) as error:
        return f"{str(path)[:200]} cannot be a file: {getattr(error, 'strerror', None) or error}"
    if stat.S_ISREG(mode):
        return None
    kind = next((words for fits, words in _KINDS if fits(mode)), "something else")
    return f"{path} is {kind}; expected a file"
