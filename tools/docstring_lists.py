"""Formats descriptions of fields and arguments in docstrings as lists; an extension used by mkdocs.yml.

They are written without markup, "name: what it is", one below the other, the text going on indented.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ITEM = re.compile(r"([a-z_]\w*(?:, [a-z_]\w*)*): (?=\S)")


class DocstringLists(griffe.Extension):
    """Converts docstrings to Markdown before they are parsed."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Called for each class, function, attribute and module."""
        if obj.docstring:
            obj.docstring.value = with_lists(obj.docstring.value)


def with_lists(text: str) -> str:
    """The text with each description as a list item."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        item = _ITEM.match(line)
        if item:
            if not inside:
                lines.append("")
            names = ", ".join(f"`{name}`" for name in item[1].split(", "))
            line = f"- {names}: {line[item.end() :]}"
        elif inside and line and not line.startswith(" "):
            lines.append("")
        inside = bool(item) or (inside and line.startswith(" "))
        lines.append(line)
    return "\n".join(lines)
