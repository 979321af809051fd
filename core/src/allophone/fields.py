"""Fields of config classes that are tables with a `type`. Imports attrs only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import Factory, field


def pluggable(
    kind: str, *, default: type | None = None, many: Literal["list", "table"] | None = None
) -> Any:
    """Declare an attrs field for the config of a plugin entry.

    In TOML it is a table with `type = "<name>"` and the fields of the entry's config class. In Python it is an
    instance of that class, or None if there is neither a table nor a default.

    kind: the kind of entry, as in the hook's name: "models", "phonemizers".
    default: the config class if the table or its `type` is missing.
    many: "list" for a tuple of such tables, "table" for a mapping of them, in which the key is the default
        for `type`.
    """
    empty: dict[str, Any] = {"list": tuple, "table": dict}
    make = empty[many] if many else default
    return field(
        default=Factory(make) if make else None,
        metadata={"pluggable": kind, "default": default, "many": many},
    )


def choice(types: Mapping[str, type], *, default: str) -> Any:
    """Declare an attrs field for one of several config classes of the same plugin.

    In TOML it is a table with `type = "<name>"` and the fields of that class. In Python it is an instance of
    the class.

    types: the classes by the name of their `type`; default: the name if there is no table or no `type`.
    """
    return field(default=Factory(types[default]), metadata={"choice": types, "default": default})
