"""Allophone: text-to-speech with pluggable model families.

    import allophone

    voice = allophone.load("joe")
    voice.say("Hello there.").save("hello.wav")

These names are imported on first use, to keep `import allophone` fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from allophone.hookspecs import hookimpl

if TYPE_CHECKING:
    from allophone.synthesis.loading import load
    from allophone.synthesis.voice import Voice
    from allophone.synthesis.waveform import Waveform

__version__: str
__all__ = ["Voice", "Waveform", "__version__", "hookimpl", "load"]

_LAZY = {
    "load": "allophone.synthesis.loading",
    "Voice": "allophone.synthesis.voice",
    "Waveform": "allophone.synthesis.waveform",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("allophone")
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'allophone' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
