"""The widgets for the controls of a voice: a slider with its range, a choice, a switch, or a text field."""

from __future__ import annotations

import contextlib
import inspect
import math
import re
from collections.abc import Callable, Iterable, Iterator
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
from attrs import frozen

from allophone.config.tables import parse_assignment
from allophone.errors import UserError
from allophone.errors import shown as _shown
from allophone.files.parsing import why_not_text

_STEPS = (0.05, 0.01, 0.001)
"""Steps of sliders: the first of which the default is a multiple."""

_EXPLAINED = re.compile(r"^(\w+(?:, \w+)*):[ \t]+(.+(?:\n[ \t]+.+)*)", re.MULTILINE)
"""`name: text` or `name, name: text` in a docstring, with indented continuation lines."""


@frozen(kw_only=True)
class Knob:
    """One control: its name, its explanation from the docstring, and its default."""

    name: str
    explanation: str
    default: Any

    @property
    def label(self) -> str:
        """The label on the page."""
        return self.name.replace("_", " ").capitalize()

    def value(self, shown: Any) -> Any:
        """The value of the control for the widget value `shown`."""
        return shown


@frozen(kw_only=True)
class Slider(Knob):
    """A number from `low` to `high`; an int if `step` is an int."""

    low: float
    high: float
    step: float

    def value(self, shown: Any) -> Any:
        if isinstance(self.step, int):
            return int(number(self.name, shown))
        return number(self.name, shown)


@frozen(kw_only=True)
class Choice(Knob):
    """One of some values."""

    options: tuple[Any, ...]

    def value(self, shown: Any) -> Any:
        if shown not in self.options:
            raise UserError(
                f"{self.name} must be one of {', '.join(map(str, self.options))}, not {_shown(shown)}."
            )
        return shown


@frozen(kw_only=True)
class Switch(Knob):
    """On or off."""

    def value(self, shown: Any) -> Any:
        if not isinstance(shown, bool):
            raise UserError(f"{self.name} must be true or false, not {_shown(shown)}.")
        return shown


@frozen(kw_only=True)
class Field(Knob):
    """Anything else, written as on the command line: `[1, 1.2]`, `0.5`, or a word."""

    def value(self, shown: Any) -> Any:
        if wrong := why_not_text(shown):
            raise UserError(f"{self.name} {wrong}.")
        return parse_assignment(f"{self.name}={shown}")[1] if shown.strip() else self.default


def number(name: str, shown: object, least: float = -math.inf, most: float = math.inf) -> float:
    """A finite number from `least` to `most` that a browser has sent; otherwise UserError."""
    if isinstance(shown, int | float) and not isinstance(shown, bool):
        with contextlib.suppress(OverflowError):
            if math.isfinite(shown) and least <= shown <= most:
                return float(shown)
    limits = f" from {least:g} to {most:g}" if most < math.inf else ""
    raise UserError(f"{name} must be a finite number{limits}, not {_shown(shown)}.")


def whole_number(name: str, shown: object, most: int) -> int:
    """A whole number from 0 to `most` that a browser has sent; otherwise UserError."""
    whole = isinstance(shown, int) or (isinstance(shown, float) and shown.is_integer())
    if isinstance(shown, bool) or not whole or not 0 <= shown <= most:  # type: ignore[operator]
        raise UserError(f"{name} must be a whole number from 0 to {most}, not {_shown(shown)}.")
    return int(shown)  # type: ignore[call-overload]


def knobs(controls: Any, accepts: Callable[[str, Any], bool]) -> tuple[Knob, ...]:
    """One knob for each field of `controls`.

    controls: an instance of a model family's controls, with the voice's defaults.
    accepts: whether a control may have a value, for limits that validators do not express.
    """
    cls = type(controls)
    hints = get_type_hints(cls)
    explanations = _explanations(cls)
    return tuple(
        _knob(
            attribute,
            hints[attribute.name],
            {
                "name": attribute.name,
                "explanation": explanations.get(attribute.name, ""),
                "default": getattr(controls, attribute.name),
            },
            accepts,
        )
        for attribute in attrs.fields(cls)
    )


def wanted(offered: Iterable[Knob], shown: Iterable[Any]) -> dict[str, Any]:
    """The controls that differ from their defaults."""
    values = {
        knob.name: (knob.default, knob.value(each))
        for knob, each in zip(offered, shown, strict=True)
    }
    return {name: value for name, (default, value) in values.items() if value != default}


def _knob(
    attribute: attrs.Attribute[Any],
    hint: Any,
    common: dict[str, Any],
    accepts: Callable[[str, Any], bool],
) -> Knob:
    default = common["default"]
    if hint is bool:
        return Switch(**common)
    if options := _options(attribute, hint):
        return Choice(**common, options=options)
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if {int, float} & set(kinds) and isinstance(default, int | float):
        whole = float not in kinds
        low, high, step = _range(attribute, default, whole, accepts)
        return Slider(**common, low=low, high=high, step=step)
    return Field(**common)


def _options(attribute: attrs.Attribute[Any], hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    return tuple(getattr(attribute.validator, "options", ()))


def _range(
    attribute: attrs.Attribute[Any],
    default: float,
    whole: bool,
    accepts: Callable[[str, Any], bool],
) -> tuple[float, float, float]:
    """Minimum, maximum and step of a slider.

    Without an upper bound, the maximum is twice the default. Without a lower bound, the minimum is the
    negative of the maximum if that is allowed, otherwise 0.
    """
    bounds = list(_bounds(attribute.validator))
    step = 1 if whole else next((step for step in _STEPS if _on_grid(default, step)), _STEPS[-1])
    high = min(
        (bound for operator, bound in bounds if "<" in operator),
        default=max(1, math.ceil(2 * abs(default))),
    )
    low = max(
        (bound for operator, bound in bounds if ">" in operator),
        default=-high if accepts(attribute.name, -high) else 0,
    )
    return (
        low if accepts(attribute.name, low) else low + step,
        high if accepts(attribute.name, high) else high - step,
        step,
    )


def _bounds(validator: Any) -> Iterator[tuple[str, float]]:
    """The operators and bounds of the comparisons in an attrs validator; empty for a function."""
    if hasattr(validator, "compare_op"):
        yield validator.compare_op, validator.bound
    for inner in (*getattr(validator, "_validators", ()), getattr(validator, "validator", None)):
        if inner is not None:
            yield from _bounds(inner)


def _on_grid(value: float, step: float) -> bool:
    return math.isclose(value / step, round(value / step), abs_tol=1e-6)


def _explanations(cls: type) -> dict[str, str]:
    """The explanations of fields in the docstrings of a class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        for names, text in _EXPLAINED.findall(inspect.cleandoc(base.__doc__ or "")):
            said = " ".join(text.split())
            found |= dict.fromkeys(names.split(", "), said[0].upper() + said[1:])
    return found
