"""Speech recognition for metrics: Whisper by faster-whisper, and the rules by which texts are compared."""

from __future__ import annotations

import re
import unicodedata
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from allophone.audio.files import resample
from allophone.errors import UserError
from allophone_evaluate.packages import required_package

_RATE = 16000
_HOW_TO_GIVE_ONE = (
    "Set intelligibility.model to a folder with a Whisper model that was converted for CTranslate2, or to "
    "package:folder. Models are not downloaded; the README of allophone-evaluate says where to get one."
)
_NUMBER = re.compile(r"\d+")


class Recogniser(Protocol):
    """Transcribes speech: samples float32 [N], their rate in Hz, and the language code or None."""

    def __call__(
        self, samples: NDArray[np.float32], sample_rate: int, language: str | None
    ) -> str: ...


def whisper(model: str, *, beam_size: int, compute_type: str, device: str) -> Recogniser:
    """A Whisper model in a folder, in the format of CTranslate2; see `IntelligibilityConfig`.

    Raises UserError if the package or the model is missing.
    """
    folder = model_folder(model)
    package = required_package("faster_whisper", metric="intelligibility", extra="asr")
    kind, _, index = device.partition(":")
    recogniser = package.WhisperModel(
        str(folder),
        device=kind,
        device_index=int(index or 0),
        compute_type=compute_type,
        local_files_only=True,
    )

    def transcribe(samples: NDArray[np.float32], sample_rate: int, language: str | None) -> str:
        # At a temperature of 0 alone, the same speech always gives the same transcript.
        segments, _ = recogniser.transcribe(
            resample(samples, sample_rate, _RATE),
            language=language and language.lower().replace("_", "-").partition("-")[0],
            beam_size=beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
        )
        return " ".join(segment.text.strip() for segment in segments)

    return transcribe


def model_folder(model: str) -> Path:
    """The folder that `model` means, a path or `package:folder`; UserError if there is none."""
    if not model:
        raise UserError(
            "The metric 'intelligibility' needs a speech recogniser.", hint=_HOW_TO_GIVE_ONE
        )
    folder = Path(model).expanduser()
    package, colon, inside = model.partition(":")
    if not folder.is_dir() and colon and re.fullmatch(r"[A-Za-z_]\w*", package):
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise UserError(
                f"The recogniser '{model}' is in the package {package}, which is not installed.",
                hint=f"pip install the distribution that has {package}, or give a folder.",
            )
        folder = Path(spec.submodule_search_locations[0]) / inside
    if not (folder / "model.bin").is_file():
        raise UserError(
            f"There is no model.bin in {folder}, so '{model}' is not a recogniser for faster-whisper.",
            hint=_HOW_TO_GIVE_ONE,
        )
    return folder


def comparable(text: str, language: str | None) -> str:
    """The words of a text as they are compared: lower case, without punctuation, numbers written out.

    Stress marks are removed, and "ё" is "е". Digits stay where num2words does not know the language.
    """
    spelled = _NUMBER.sub(lambda digits: f" {_spelled(digits[0], language)} ", text)
    letters = unicodedata.normalize("NFC", spelled.casefold()).replace("\u0301", "")
    letters = letters.replace("ё", "е").replace("’", "'")
    return " ".join(re.sub(r"[^\w' ]|_", " ", letters).split())


def _spelled(digits: str, language: str | None) -> str:
    package = required_package("num2words", metric="intelligibility", extra="asr")
    try:
        return str(package.num2words(int(digits), lang=(language or "en").replace("-", "_")))
    except NotImplementedError:
        return digits
