"""The errors that users can fix: what was wrong, where, and what to do.

The command line prints them without a traceback. Any other exception that escapes is a bug in Allophone or a
plugin.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """An error that the caller can fix.

    message: what was wrong and where.
    hint: what to do about it, if known.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class ConfigError(UserError):
    """An invalid configuration; the message contains the path of the key."""


class PluginError(UserError):
    """A plugin that is missing, broken, or in conflict with another."""


def near_miss(name: str, known: Iterable[str]) -> str | None:
    """Return a hint for an unknown name: "Did you mean 'x'?", or a list of the known names.

    None if `known` is empty.
    """
    names = sorted(known)
    if not names:
        return None
    folded = {candidate.lower(): candidate for candidate in names}
    close = difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.6)
    if close:
        return f"Did you mean {_either(folded[match] for match in close)}?"
    return f"Available: {', '.join(names)}."


def _either(names: Iterable[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
