"""The grammar: all rules in the order in which they are tried at each token.

To add a way of writing something, add a rule to the module of its class, or an entry to a table in `words`; to add a
class, write a module with `RULES` and put it here, before the classes that would take its text. A rule that cannot tell
by its pattern asks `context`, and leaves what is not its own to the rules after it by returning None.
"""

from __future__ import annotations

import functools

from allophone_english.classes import (
    address,
    cardinal,
    date,
    digit,
    electronic,
    fraction,
    letters,
    measure,
    money,
    roman,
    telephone,
    time,
    verbatim,
)
from allophone_english.tokens import Grammar

CLASSES = (
    telephone,
    electronic,
    date,
    digit,
    time,
    money,
    address,
    measure,
    fraction,
    roman,
    letters,
    cardinal,
    verbatim,
)


@functools.cache
def grammar() -> Grammar:
    """The grammar of English, its patterns compiled when a text is first read."""
    return Grammar([rule for module in CLASSES for rule in module.RULES])
