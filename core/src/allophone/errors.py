"""The errors that users can fix: what was wrong, where, and what to do.

The command line prints them without a traceback. Any other exception that escapes is a bug in Allophone or a
plugin.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import partial
from typing import Any

_SHOWN = 80
"""Characters of a value in a message: what is wrong may be a line of megabytes."""


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

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the hint too, for errors that come from another process."""
        return partial(type(self), hint=self.hint), (self.message,), self.__dict__


class ConfigError(UserError):
    """An invalid configuration; the message contains the path of the key."""


class PluginError(UserError):
    """A plugin that is missing, broken, or in conflict with another."""


def shown(value: object) -> str:
    """A value as a message shows it: as Python writes it, and no longer than a line has room for."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def reason_of(error: BaseException) -> str:
    """What an exception says; those of attrs' validators have more arguments than a message."""
    if isinstance(error, UserError):
        return str(error)
    first = error.args[0] if error.args else None
    return first if isinstance(first, str) and first else str(error) or type(error).__name__


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
