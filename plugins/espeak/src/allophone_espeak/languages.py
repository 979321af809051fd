"""The languages that eSpeak NG speaks, by the codes and names that people write for them."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from attrs import frozen

from allophone.errors import UserError, near_miss

_ALIASES = {
    # BCP 47: codes that were replaced, and scripts and regions that mean another language or voice.
    "in": "id",
    "iw": "he",
    "en-ca": "en-us",
    "en-ph": "en-us",
    "zh-hk": "yue",
    "zh-mo": "yue",
    "zh-hant-hk": "yue",
    # Names that eSpeak NG writes otherwise.
    "cantonese": "yue",
    "farsi": "fa",
    "mandarin": "cmn",
    "norwegian": "nb",
}
_LATIN_AMERICA = re.compile(r"es-(?!es)[a-z]{2}")
_REGIONAL = re.compile(r"[a-z]{2,3}(-[a-z]{4})?(-([a-z]{2}|\d{3}))|[a-z]{2,3}-[a-z]{4}")
"""A language with a region, a script, or both."""
_DICTIONARY = re.compile(r"^dictionary\s+(\S+)", re.MULTILINE)


@frozen(kw_only=True)
class EspeakVoice:
    """A voice of eSpeak NG.

    name: "French (Belgium)". codes: the languages that it speaks, best first for each voice, with its priority
    among the voices of that language: the lowest is the best. identifier: the path of its file, "roa/fr-BE".
    """

    name: str
    codes: Mapping[str, int]
    identifier: str


class _VoiceRecord(ctypes.Structure):
    """The beginning of `espeak_VOICE`.

    languages: of each, a byte of priority and a string; a zero byte ends the list.
    """

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
    )


VoiceRecords = ctypes.POINTER(ctypes.POINTER(_VoiceRecord))
"""What `espeak_ListVoices` returns; a null pointer ends it."""


def read_voices(records: ctypes._Pointer[ctypes._Pointer[_VoiceRecord]]) -> Iterator[EspeakVoice]:
    """The voices of a `VoiceRecords`."""
    index = 0
    while records[index]:
        record = records[index].contents
        yield EspeakVoice(
            name=record.name.decode(),
            codes=dict(_read_codes(record.languages)),
            identifier=record.identifier.decode(),
        )
        index += 1


def _read_codes(address: int) -> Iterator[tuple[str, int]]:
    while priority := ctypes.c_ubyte.from_address(address).value:
        code = ctypes.string_at(address + 1)
        yield code.decode().lower(), priority
        address += len(code) + 2


@frozen(kw_only=True, eq=False)
class Languages:
    """The voices of a library and its data, by language.

    data: the folder espeak-ng-data.
    """

    voices: tuple[EspeakVoice, ...]
    data: Path

    @cached_property
    def by_code(self) -> Mapping[str, EspeakVoice]:
        """The best voice of each code that eSpeak NG lists."""
        # Later ones replace earlier ones: the best comes last, and of equals the first.
        ranked = sorted(
            (
                (priority, index, code, voice)
                for index, voice in enumerate(self.voices)
                for code, priority in voice.codes.items()
            ),
            key=lambda one: one[:2],
            reverse=True,
        )
        return {code: voice for _, _, code, voice in ranked}

    @cached_property
    def _code_of_name(self) -> Mapping[str, str]:
        """The codes of "french (belgium)" and "french"."""
        found: dict[str, str] = {}
        for voice in self.voices:
            code = next(iter(voice.codes))
            language = code.partition("-")[0]
            name = voice.name.strip().lower()
            found[name] = code
            found.setdefault(
                name.partition(" (")[0], language if language in self.by_code else code
            )
        return found

    def resolve(self, language: str) -> str:
        """The code of eSpeak NG for a language as people write it.

        Takes what eSpeak NG lists ("en-us", "fr"), BCP 47 in any spelling ("en_US", "zh-Hans-CN") and
        English names ("german"). A region that it has no voice for is left out: "de-AT" is "de".
        Raises UserError where it has none for the language.
        """
        written = language.strip().replace("_", "-").lower()
        for candidate in _candidates(written):
            code = self._code_of_name.get(candidate, candidate)
            if code in self.by_code:
                self._check_data(code)
                return code
        raise UserError(
            f"eSpeak NG has no language '{language}'.", hint=near_miss(written, self.by_code)
        )

    def _check_data(self, code: str) -> None:
        """UserError where the data has a voice but no words of its language."""
        voice = self.by_code[code]
        described = (self.data / "lang" / voice.identifier).read_text("utf-8", errors="replace")
        stated = _DICTIONARY.search(described)
        name = stated[1] if stated else next(iter(voice.codes)).partition("-")[0]
        if not (self.data / f"{name}_dict").is_file():
            raise UserError(
                f"This build of eSpeak NG lists '{code}' ({voice.name}), but lacks its dictionary.",
                hint=f"There is no {name}_dict in {self.data}: choose another language.",
            )


def _candidates(written: str) -> Iterator[str]:
    """What a code may be listed as, from the closest on."""
    yield written
    if written in _ALIASES:
        yield _ALIASES[written]
    elif _LATIN_AMERICA.fullmatch(written):
        yield "es-419"
    if _REGIONAL.fullmatch(written):
        yield from _candidates(written.rpartition("-")[0])
