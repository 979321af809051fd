"""What a client asks for, read from the body of a request."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from typing import Any

from attrs import frozen

from allophone.errors import UserError
from allophone_serve.encoding import FORMATS
from allophone_serve.errors import ApiError
from allophone_serve.voices import Speaker, Voices

MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "allophone")
"""Accepted names of models. They all mean the same: what speaks is the voice."""

SLOWEST, FASTEST = 0.25, 4.0
_FIELDS = (
    "model",
    "input",
    "voice",
    "speed",
    "response_format",
    "stream_format",
    "stream",
    "language",
)


@frozen(kw_only=True)
class Order:
    """A text to be spoken.

    format: a key of `FORMATS`.
    events: whether the audio is sent as server-sent events.
    whole: whether the audio is sent when it is complete, with its true length.
    ignored: fields of the request that change nothing.
    """

    text: str
    who: Speaker
    language: str | None = None
    speed: float = 1.0
    format: str = "mp3"
    events: bool = False
    whole: bool = False
    ignored: tuple[str, ...] = ()

    def content(self) -> Hashable:
        """What determines the bytes of the audio."""
        who = self.who.name, self.who.speaker, self.language
        return *who, self.text, self.speed, self.format, self.whole


@frozen(kw_only=True)
class SessionOrder:
    """How a text that comes in pieces is to be spoken; see `Order`.

    timings: whether the times of words and phonemes are sent.
    """

    who: Speaker
    language: str | None
    speed: float
    format: str
    timings: bool


def read_session_order(given: dict[str, Any], voices: Voices) -> SessionOrder:
    """Read the message `start` of a WebSocket. Raises ApiError for what is wrong with it."""
    who = _find_voice(given.get("voice", voices.default), voices)
    return SessionOrder(
        who=who,
        language=_language(given.get("language"), who),
        speed=_speed(given.get("speed")),
        format=_choice(given, "response_format", tuple(FORMATS), "pcm"),
        timings=_switch(given, "timings", False),
    )


def read_order(body: bytes, voices: Voices, *, characters: int) -> Order:
    """Read the body of `POST /v1/audio/speech`. Raises ApiError for what is wrong with it."""
    given = read_json(body)
    _check_model(given.get("model", MODELS[0]))
    who = _find_voice(given.get("voice", voices.default), voices)
    return Order(
        text=check_text(given.get("input"), characters=characters),
        who=who,
        language=_language(given.get("language"), who),
        speed=_speed(given.get("speed")),
        format=_choice(given, "response_format", tuple(FORMATS), "mp3"),
        events=_choice(given, "stream_format", ("audio", "sse"), "audio") == "sse",
        whole=not _switch(given, "stream", True),
        ignored=tuple(
            name
            for name in given
            if name not in _FIELDS and re.fullmatch(r"\w{1,40}", name, re.ASCII)
        )[:10],
    )


def check_text(text: object, *, characters: int) -> str:
    """The text, if it is one. Raises ApiError if it is empty, too long or not Unicode."""
    if not isinstance(text, str):
        raise _refused("input", "expected the text to speak, a string")
    if not text.strip():
        raise _refused("input", "there is no text to speak")
    if len(text) > characters:
        raise _refused(
            "input",
            f"the text has {len(text):,} characters; this server speaks at most {characters:,}",
        )
    if any(0xD800 <= ord(character) < 0xE000 for character in text) or "\0" in text:
        raise _refused("input", "the text contains NUL or half of a surrogate pair")
    return text


def read_json(body: bytes | str) -> dict[str, Any]:
    """Parse a JSON object. Raises ApiError if it is none."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(status=400, message=f"The body is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise ApiError(status=400, message="The body is not a JSON object.")
    return given


def _check_model(model: object) -> None:
    if model not in MODELS:
        raise ApiError(
            status=404,
            message=f"model: {_shown(model)} does not exist; there are {', '.join(MODELS)}",
            param="model",
            code="model_not_found",
        )


def _find_voice(voice: object, voices: Voices) -> Speaker:
    name = voice.get("id") if isinstance(voice, dict) else voice
    if not isinstance(name, str):
        raise _refused("voice", f"expected the name of a voice, got {_shown(voice)}")
    try:
        return voices.find(name)
    except UserError as error:
        raise ApiError(
            status=400, message=str(error).replace("\n", " "), param="voice", code="voice_not_found"
        ) from error


def _language(language: object, who: Speaker) -> str | None:
    if language is None:
        return None
    if language not in who.voice.languages:
        raise _refused(
            "language",
            f"{who.name} speaks {', '.join(who.voice.languages)}, not {_shown(language)}",
        )
    return str(language)


def _speed(speed: object) -> float:
    if speed is None:
        return 1.0
    number = isinstance(speed, int | float) and not isinstance(speed, bool)
    if not number or not SLOWEST <= speed <= FASTEST:  # type: ignore[operator]
        raise _refused(
            "speed", f"expected a number from {SLOWEST} to {FASTEST}, got {_shown(speed)}"
        )
    return float(speed)  # type: ignore[arg-type]


def _choice(given: dict[str, Any], name: str, choices: tuple[str, ...], default: str) -> str:
    value = given.get(name)
    if value is None:
        return default
    if value not in choices:
        raise _refused(name, f"expected one of {', '.join(choices)}, got {_shown(value)}")
    return str(value)


def _switch(given: dict[str, Any], name: str, default: bool) -> bool:
    value = given.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise _refused(name, f"expected true or false, got {_shown(value)}")
    return value


def _refused(name: str, why: str) -> ApiError:
    return ApiError(status=400, message=f"{name}: {why}.", param=name, code="invalid_value")


def _shown(value: object) -> str:
    return json.dumps(value)[:80]
