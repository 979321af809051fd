"""The errors that Allophone raises on purpose: what was wrong, where, and what to do about it.

Whoever meets one of these has done something that can be mended; a traceback would not help. The
command line prints them without one. Anything else that escapes is a bug in Allophone or a plugin.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something that the caller can put right.

    `message` says what was wrong and where; `hint`, where there is one, says what to do.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class ConfigError(UserError):
    """A configuration that does not say something valid; the message holds the path of the key."""


class PluginError(UserError):
    """A plugin that is missing, broken, or in conflict with another."""


def near_miss(name: str, known: Iterable[str]) -> str | None:
    """A hint that names what `name` was probably meant to be, or lists what there is.

    Returns None when `known` is empty.
    """
    names = sorted(known)
    if not names:
        return None
    folded = {candidate.lower(): candidate for candidate in names}
    close = difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.6)
    if close:
        return f"Did you mean {_either(folded[match] for match in close)}?"
    return f"There is: {', '.join(names)}."


def _either(names: Iterable[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
