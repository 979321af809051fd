"""Errors in the form of OpenAI's API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import Factory, define
from starlette.requests import Request
from starlette.responses import JSONResponse


@define(kw_only=True)
class ApiError(Exception):
    """A request that is refused or fails.

    status: of HTTP.
    param: the field of the request that is wrong.
    code: a word for programs, such as "voice_not_found".
    """

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = Factory(dict)

    def __str__(self) -> str:
        return self.message

    def as_json(self) -> dict[str, Any]:
        """The body of the response."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        if self.status == 429:
            kind = "rate_limit_error"
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": error}

    def response(self) -> JSONResponse:
        return JSONResponse(self.as_json(), self.status, headers=dict(self.headers))


def answer_api_error(request: Request, error: Exception) -> JSONResponse:
    """The exception handler for ApiError."""
    assert isinstance(error, ApiError)
    return error.response()


def full() -> ApiError:
    """The error of a request for which there is no place."""
    return ApiError(
        status=429,
        message="The server is busy: all places are taken. Try again in a second.",
        code="queue_full",
        headers={"Retry-After": "1"},
    )
