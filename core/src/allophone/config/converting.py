"""Strict conversion between plain data and attrs classes.

By default cattrs converts "false" to True, 3.7 to 3 and True to 1, and ignores unknown keys. Here each
of these is an error that names the path of the key and suggests a correction for a misspelt one.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin

import attrs

from allophone.config.tables import Plain
from allophone.errors import ConfigError, UserError, near_miss, reason_of, shown
from allophone.registry import Registry, default_registry

if TYPE_CHECKING:
    import cattrs

T = TypeVar("T")

NONE = "none"
"""What a file says where a value is to be None, which TOML cannot write: it takes back what a recipe says."""

_EXACT = {"bool": bool, "int": int, "float": float, "str": str}
"""Types by the name in the annotation. A value of exactly this type needs no conversion."""


def structure(
    cls: type[T], plain: Mapping[str, Any], *, where: str = "", registry: Registry | None = None
) -> T:
    """Build an attrs object from plain data.

    where: the source of the data (a file, a table), for error messages. Plugin tables
    (`entries.pluggable`) are built with the class that the registry has for their `type`.
    Raises ConfigError that lists all problems, each with its path.
    """
    if (built := _without_converter(cls, plain)) is not None:
        return built
    # Imported here: importing cattrs takes as long as the rest of reading a voice's config.
    from cattrs.errors import ClassValidationError, IterableValidationError

    converter = _converter(registry or default_registry())
    try:
        return converter.structure(plain, cls)
    except (ClassValidationError, IterableValidationError) as error:
        problems = list(_problems(error, ""))
    except UserError as error:
        problems = [error.message]
    raise ConfigError(
        "\n".join([f"{where or cls.__name__} is not valid:", *(f"  {line}" for line in problems)])
    )


def _without_converter(cls: type[T], plain: Mapping[str, Any]) -> T | None:
    """Build the object without cattrs if every value already has its field's type.

    Returns None if a value needs conversion or is invalid.
    """
    fields = attrs.fields_dict(cls)  # type: ignore[arg-type]
    for name, value in plain.items():
        field = fields.get(name)
        if field is None or _EXACT.get(
            str(getattr(field.type, "__name__", field.type))
        ) is not type(value):
            return None
        if isinstance(value, int | float) and not -(2**63) <= value < 2**63:
            return None
    try:
        return cls(**plain)
    except (TypeError, ValueError, UserError):
        return None


def unstructure(value: Any, *, registry: Registry | None = None) -> Plain:
    """Convert an attrs object to plain data: every field, and `type` in plugin tables.

    None is left out where it is the default, and "none" where it is not.
    """
    plain: Plain = _unstructure(value, registry or default_registry())
    return plain


@functools.lru_cache(maxsize=8)
def _converter(registry: Registry) -> cattrs.Converter:
    import cattrs

    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
    for kind in (bool, int, str):
        converter.register_structure_hook(kind, _exactly)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_func(_is_union_of_values, _first_that_fits(converter))
    converter.register_structure_hook_func(_is_tuple, _list_to_tuple(converter))
    converter.register_structure_hook_factory(
        attrs.has, lambda cls: _class_hook(cls, converter, registry)
    )
    return converter


def _exactly(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f"must be {_called(kind)}, not {_shown(value)}")
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise ValueError(f"must fit in 64 bits, and {shown(value)} does not")
    return value


def _number(value: Any, _: type) -> float:
    if type(value) not in (int, float):
        raise ValueError(f"must be a number, not {_shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"must be a finite number, not {shown(value)}")
    return number


def _is_union_of_values(kind: Any) -> bool:
    """A union such as `float | None` or `tuple[str, ...] | int`."""
    import types

    return get_origin(kind) in (Union, types.UnionType)


def _first_that_fits(converter: cattrs.Converter) -> Any:
    def hook(value: Any, union: Any) -> Any:
        if type(None) in get_args(union) and value in (None, NONE):
            return None
        members = [member for member in get_args(union) if member is not type(None)]
        if isinstance(value, list | tuple):
            # Given a list where one is allowed, report the problem inside it.
            members = [member for member in members if _is_tuple(member)] or members
        failures: list[Exception] = []
        for member in members:
            try:
                return converter.structure(value, member)
            except Exception as error:
                failures.append(error)
        if len(failures) == 1:
            raise failures[0]
        raise ValueError(
            f"must be {' or '.join(_called(member) for member in members)}, not {_shown(value)}"
        )

    return hook


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _list_to_tuple(converter: cattrs.Converter) -> Any:
    def hook(value: Any, kind: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError(f"must be a list, not {_shown(value)}")
        members = get_args(kind)
        if members[-1] is Ellipsis:
            members = (members[0],) * len(value)
        if len(value) != len(members):
            raise ValueError(f"must have {len(members)} items, not {len(value)}")
        return tuple(
            converter.structure(item, member) for item, member in zip(value, members, strict=True)
        )

    return hook


def _class_hook(cls: type, converter: cattrs.Converter, registry: Registry) -> Any:
    """Return the hook that builds a class: pluggable fields through the registry, others by type."""
    from cattrs.gen import make_dict_structure_fn, override

    attrs.resolve_types(cls)
    special: dict[str, Any] = {
        attribute.name: override(struct_hook=_plugin_hook(attribute, converter, registry))
        for attribute in attrs.fields(cls)
        if "pluggable" in attribute.metadata
    } | {
        attribute.name: override(struct_hook=_choice_hook(attribute, converter))
        for attribute in attrs.fields(cls)
        if "choice" in attribute.metadata
    }
    build: Any = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True, **special)

    def hook(plain: Any, kind: type) -> Any:
        if not isinstance(plain, Mapping):
            raise ValueError(f"must be a table, not {_shown(plain)}")
        return build(plain, kind)

    return hook


def _plugin_hook(attribute: Any, converter: cattrs.Converter, registry: Registry) -> Any:
    kind = attribute.metadata["pluggable"]
    many = attribute.metadata["many"]

    def one(plain: Any, name: str | None = None) -> Any:
        if not isinstance(plain, Mapping):
            raise ValueError(f"must be a table, not {_shown(plain)}")
        name = plain.get("type", name)
        cls = attribute.metadata["default"]
        if isinstance(name, str):
            cls = registry.load(kind, name, "config")
        elif name is not None or cls is None:
            known = ", ".join(sorted(registry.entries(kind)))
            raise ValueError(f'must set type = "..."; available: {known}')
        return converter.structure({key: plain[key] for key in plain if key != "type"}, cls)

    def hook(plain: Any, _: Any) -> Any:
        if many is None:
            return None if plain == NONE and attribute.default is None else one(plain)
        if many == "list":
            if not isinstance(plain, list | tuple):
                raise ValueError(f"must be a list of tables, not {_shown(plain)}")
            return tuple(_each(((str(i), item, None) for i, item in enumerate(plain)), one))
        if not isinstance(plain, Mapping):
            raise ValueError(f"must be a table of tables, not {_shown(plain)}")
        return dict(zip(plain, _each(((key, plain[key], key) for key in plain), one), strict=True))

    return hook


def _choice_hook(attribute: Any, converter: cattrs.Converter) -> Any:
    types: Mapping[str, type] = attribute.metadata["choice"]

    def hook(plain: Any, _: Any) -> Any:
        if not isinstance(plain, Mapping):
            raise ValueError(f"must be a table, not {_shown(plain)}")
        name = plain.get("type", attribute.metadata["default"])
        if not isinstance(name, str) or name not in types:
            raise ValueError(
                f"has the type {shown(name)}; available: {', '.join(types)}. "
                f"{near_miss(str(name), types) or ''}".rstrip()
            )
        return converter.structure({key: plain[key] for key in plain if key != "type"}, types[name])

    return hook


@attrs.define
class _BelowError(Exception):
    """An error at a key, kept so that the message can give the full path."""

    key: str
    cause: Exception


def _each(tables: Iterable[tuple[str, Any, str | None]], one: Any) -> Iterator[Any]:
    for key, plain, name in tables:
        try:
            yield one(plain, name)
        except Exception as error:
            raise _BelowError(key, error) from error


def _problems(error: BaseException, path: str) -> Iterator[str]:
    """Yield one line for each problem, with the path of its key."""
    from cattrs.errors import (
        ClassValidationError,
        ForbiddenExtraKeysError,
        IterableValidationError,
    )

    if isinstance(error, ClassValidationError):
        noted, others = error.group_exceptions()
        for inner, note in noted:
            yield from _problems(inner, f"{path}.{note.name}" if path else note.name)
        for other in others:
            yield from _problems(other, path)
    elif isinstance(error, IterableValidationError):
        for inner, index in error.group_exceptions()[0]:
            yield from _problems(inner, f"{path}.{index.index}")
    elif isinstance(error, ForbiddenExtraKeysError):
        known = [attribute.name for attribute in attrs.fields(error.cl)]
        for key in sorted(error.extra_fields):
            full = f"{path}.{key}" if path else key
            yield f"{full}: unknown key. {near_miss(key, known) or ''}".rstrip()
    elif isinstance(error, _BelowError):
        yield from _problems(error.cause, f"{path}.{error.key}")
    elif isinstance(error, KeyError):
        yield f"{path}: {error.args[0]} is missing" if path else f"{error.args[0]} is missing"
    else:
        message = reason_of(error)
        yield f"{path}: {message}" if path else message


def _unstructure(value: Any, registry: Registry) -> Any:
    if attrs.has(type(value)):
        plain: Plain = {}
        for attribute in attrs.fields(type(value)):
            held = getattr(value, attribute.name)
            if held is None:
                if attribute.default is not None:
                    plain[attribute.name] = NONE
                continue
            if "pluggable" in attribute.metadata:
                plain[attribute.name] = _typed(held, attribute.metadata, registry)
            elif "choice" in attribute.metadata:
                types = attribute.metadata["choice"]
                (name,) = (name for name, cls in types.items() if cls is type(held))
                plain[attribute.name] = {"type": name, **_unstructure(held, registry)}
            else:
                plain[attribute.name] = _unstructure(held, registry)
        return plain
    if isinstance(value, Mapping):
        return {str(key): _unstructure(item, registry) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_unstructure(item, registry) for item in value]
    return value


def _typed(held: Any, metadata: Mapping[str, Any], registry: Registry) -> Any:
    kind = metadata["pluggable"]

    def one(config: Any) -> Plain:
        return {"type": registry.entry_of(kind, config).name, **_unstructure(config, registry)}

    if metadata["many"] == "list":
        return [one(config) for config in held]
    if metadata["many"] == "table":
        return {key: one(config) for key, config in held.items()}
    return one(held)


def _called(kind: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
    if kind in names:
        return names[kind]
    return "a list" if get_origin(kind) is tuple else str(getattr(kind, "__name__", kind))


def _shown(value: Any) -> str:
    kinds = {int: "the whole number ", float: "the number ", str: "the string "}
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{kinds.get(type(value), '')}{shown(value)}"
