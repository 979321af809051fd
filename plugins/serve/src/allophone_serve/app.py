"""The HTTP application: its routes, and who may use them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from allophone_serve.access import ApiKeys
from allophone_serve.errors import ApiError, answer_api_error
from allophone_serve.openai_speech import speech
from allophone_serve.openapi import describe
from allophone_serve.orders import MODELS
from allophone_serve.service import Service
from allophone_serve.websocket import stream


def build_app(
    service: Service, *, beside: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
) -> Starlette:
    """The application of a service, which it stops at its end.

    beside: what else runs in its event loop meanwhile.
    """
    options = service.options
    middleware = []
    if options.origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=options.origins,
                allow_methods=("GET", "POST"),
                allow_headers=("authorization", "content-type"),
            )
        )
    if options.keys:
        middleware.append(Middleware(ApiKeys, keys=options.keys))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with beside():
            yield
        service.stop()

    app = Starlette(
        routes=[
            Route("/v1/audio/speech", speech, methods=["POST"]),
            WebSocketRoute("/v1/audio/stream", stream),
            Route("/v1/models", _models),
            Route("/v1/models/{model}", _model),
            Route("/v1/voices", _voices),
            Route("/v1/audio/voices", _voices),
            Route("/openapi.json", _openapi),
            Route("/health", _health),
            Route("/ready", _ready),
            Route("/metrics", _metrics),
        ],
        middleware=middleware,
        exception_handlers={
            ApiError: answer_api_error,
            HTTPException: _answer_http_error,
            Exception: _answer_bug,
        },
        lifespan=lifespan,
    )
    app.state.service = service
    return app


async def _models(request: Request) -> Response:
    return JSONResponse({"object": "list", "data": [_described(name) for name in MODELS]})


async def _model(request: Request) -> Response:
    name = request.path_params["model"]
    if name not in MODELS:
        raise ApiError(
            status=404,
            message=f"There is no such model; there are {', '.join(MODELS)}.",
            param="model",
            code="model_not_found",
        )
    return JSONResponse(_described(name))


def _described(model: str) -> dict[str, object]:
    return {"id": model, "object": "model", "created": 0, "owned_by": "allophone"}


async def _voices(request: Request) -> Response:
    service: Service = request.app.state.service
    found = [
        {
            "id": name,
            "name": name,
            "object": "voice",
            "languages": service.voices.find(name).voice.languages,
            "sample_rate": service.voices.find(name).voice.sample_rate,
        }
        for name in service.voices.names()
    ]
    return JSONResponse({"object": "list", "data": found, "voices": [one["id"] for one in found]})


async def _openapi(request: Request) -> Response:
    return JSONResponse(describe(request.app.state.service))


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _ready(request: Request) -> Response:
    """Whether a request would get a place."""
    scheduler = request.app.state.service.scheduler
    free = scheduler.places - scheduler.taken_places()
    return JSONResponse(
        {"status": "ready" if free > 0 else "full", "free_places": max(0, free)},
        200 if free > 0 else 503,
    )


async def _metrics(request: Request) -> Response:
    text = request.app.state.service.metrics.text()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return ApiError(
        status=error.status_code, message=error.detail, headers=error.headers or {}
    ).response()


def _answer_bug(request: Request, error: Exception) -> Response:
    return ApiError(status=500, message="The server has a bug; its log says more.").response()
