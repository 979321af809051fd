"""Shows what our docstrings say of single fields and arguments as lists; mkdocs.yml names it as an extension.

They are written without markup, "name: what it is", one below the other, the text going on indented.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ITEM = re.compile(r"([a-z_]\w*(?:, [a-z_]\w*)*): (?=\S)")


class DocstringLists(griffe.Extension):
    """Makes Markdown of them before they are parsed."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Called for each class, function, attribute and module."""
        if obj.docstring:
            obj.docstring.value = with_lists(obj.docstring.value)


def with_lists(text: str) -> str:
    """The text with each of those lines as an item of a list."""
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
