"""What the contracts of synthesizers and engines ask of controls: that they are checked, and that they are used."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import attrs
import pytest

from allophone.errors import ConfigError
from allophone.synthesis.engine import Sentence
from allophone.synthesis.voice import Voice


def check_controls(voice: Voice) -> None:
    """The test fails where a control has no default, or takes a value that it should refuse."""
    cls = voice.engine.controls
    assert attrs.has(cls), f"`controls` should be an attrs class, not {cls!r}."
    cls()
    with pytest.raises(ConfigError, match="no_such_control"):
        voice.controls({"no_such_control": 1})
    for field in attrs.fields(cls):
        with pytest.raises(ConfigError, match=field.name):
            voice.controls({field.name: {}})
    impossible = {"length_scale": 0.0, "noise_scale": -1.0, "noise_scale_duration": -1.0}
    for name in impossible.keys() & {field.name for field in attrs.fields(cls)}:
        try:
            voice.controls({name: impossible[name]})
        except ConfigError:
            continue
        pytest.fail(f"{name} = {impossible[name]} is accepted: give the field a validator.")


def check_controls_are_used(
    voice: Voice, sentences: Sequence[Sentence], inert: Collection[str]
) -> None:
    """The test fails where a control that is not `inert` is never read while the sentences are spoken.

    With random weights an effect may be rounded away, so what is checked is that a control is asked for.
    """
    controls, read = watched(voice.controls({}))
    voice.engine.synthesize(sentences, controls)
    for field in attrs.fields(voice.engine.controls):
        assert field.name in read or field.name in inert, (
            f"The control {field.name} is offered, and nothing of it is read when a sentence is spoken: "
            "is it passed on? If it cannot be used here, name it in `inert_controls`."
        )


def watched(controls: Any) -> tuple[Any, set[str]]:
    """Equal controls of a class derived from their own, and the names of those that were read since."""
    cls: type = type(controls)
    names = {field.name for field in attrs.fields(cls)}
    read: set[str] = set()

    def note(self: Any, name: str) -> Any:
        if name in names:
            read.add(name)
        return object.__getattribute__(self, name)

    derived = type(cls.__name__, (cls,), {"__getattribute__": note})
    values = {field.alias: getattr(controls, field.name) for field in attrs.fields(cls)}
    made = derived(**values)
    # Validators have read them.
    read.clear()
    return made, read
