"""The OpenAPI description of the HTTP paths."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

from allophone_serve.encoding import FORMATS
from allophone_serve.orders import FASTEST, MODELS, SLOWEST
from allophone_serve.service import Service
from allophone_serve.voices import BUILT_IN

_Schema = dict[str, Any]

_ERROR: _Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"enum": ["invalid_request_error", "rate_limit_error", "server_error"]},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_ERRORS = {
    "400": "The request is wrong; `param` says where.",
    "401": "The API key is missing or wrong.",
    "404": "There is no such model.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "429": "All places are taken; `Retry-After` says when to come again.",
    "503": "No audio could be made in time.",
}


def describe(service: Service) -> _Schema:
    """The document, with the names of the voices that are loaded."""
    described: _Schema = {
        "openapi": "3.1.0",
        "info": {
            "title": "Allophone",
            "version": importlib.metadata.version("allophone-serve"),
            "description": "Speech by OpenAI's API.",
        },
        "paths": {
            "/v1/audio/speech": {"post": _speech(service)},
            "/v1/models": {"get": _get("The accepted models.", "401")},
            "/v1/models/{model}": {
                "get": {
                    **_get("A model.", "401", "404"),
                    "parameters": [
                        {
                            "name": "model",
                            "in": "path",
                            "required": True,
                            "schema": {"enum": list(MODELS)},
                        }
                    ],
                }
            },
            "/v1/voices": {"get": _get("The voices.", "401")},
            "/health": {"get": _get("The server runs.")},
            "/ready": {"get": _ready()},
            "/metrics": {"get": _metrics()},
        },
        "components": {"schemas": {"Error": _ERROR}},
    }
    if service.options.keys:
        described["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"key": []}]
    return described


def _speech(service: Service) -> _Schema:
    audio: _Schema = {form.media_type: {} for form in FORMATS.values()}
    return {
        "summary": "Speak a text.",
        "operationId": "speech",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _request(service)}},
        },
        "responses": {
            "200": {"description": "Audio.", "content": {**audio, "text/event-stream": {}}},
            **_errors(*_ERRORS),
        },
    }


def _request(service: Service) -> _Schema:
    voices = service.voices
    names = {"enum": [*dict.fromkeys([*voices.names(), *BUILT_IN])]}
    identified = {"type": "object", "required": ["id"], "properties": {"id": names}}
    languages = {one for voice in voices.by_name.values() for one in voice.languages}
    speed = {"type": ["number", "null"], "minimum": SLOWEST, "maximum": FASTEST, "default": 1}
    return {
        "type": "object",
        "required": ["input"],
        "properties": {
            "input": {
                "type": "string",
                "minLength": 1,
                "maxLength": service.options.characters,
                "description": "The text, or SSML that begins with <speak>.",
            },
            "model": {"enum": list(MODELS), "default": MODELS[0]},
            "voice": {"anyOf": [names, identified], "default": voices.default},
            "response_format": {"enum": [*FORMATS, None], "default": "mp3"},
            "speed": speed,
            "stream_format": {"enum": ["audio", "sse", None], "default": "audio"},
            "stream": {"type": ["boolean", "null"], "default": True},
            "language": {
                "enum": [*sorted(languages), None],
                "description": "A language of the voice.",
            },
            "instructions": {"description": "Ignored."},
        },
    }


def _get(summary: str, *errors: str) -> _Schema:
    schema = {"type": "object"}
    return {
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": {"application/json": {"schema": schema}}},
            **_errors(*errors),
        },
    }


def _ready() -> _Schema:
    described = _get("A request would get a place.")
    answer = described["responses"]["200"]
    described["responses"]["503"] = {**answer, "description": "All places are taken."}
    return described


def _metrics() -> _Schema:
    return {
        "summary": "Counters for Prometheus.",
        "responses": {
            "200": {"description": "Text.", "content": {"text/plain": {}}},
            **_errors("401"),
        },
    }


def _errors(*statuses: str) -> Mapping[str, _Schema]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {
        status: {
            "description": _ERRORS[status],
            "content": {"application/json": {"schema": schema}},
        }
        for status in statuses
    }
