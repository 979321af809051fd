"""Requests drawn from the OpenAPI description, right and wrong ones: none is answered with a 500."""

from __future__ import annotations

import pytest
import schemathesis
import serve_toys
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from allophone_serve.app import build_app
from allophone_serve.options import Options
from allophone_serve.service import Service

SPEAKABLE = st.from_regex(r"[a-z][a-z ]{0,9}", fullmatch=True)


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    voices = serve_toys.toy_voices(tmp_path_factory.mktemp("voices"))
    service = Service(voices, Options(characters=40))
    yield schemathesis.openapi.from_asgi("/openapi.json", build_app(service))
    service.stop()


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/v1/audio/speech", GenerationMode.POSITIVE),
        ("/v1/audio/speech", GenerationMode.NEGATIVE),
        ("/v1/models/{model}", GenerationMode.POSITIVE),
        ("/v1/models/{model}", GenerationMode.NEGATIVE),
        ("/v1/voices", GenerationMode.POSITIVE),
        ("/ready", GenerationMode.POSITIVE),
    ],
)
def test_every_answer_is_as_described(described, path, mode):
    operation = described[path]["POST" if "speech" in path else "GET"]
    statuses = set()

    @settings(
        max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    # Texts of the schema are of all of Unicode, of which the toys speak next to nothing.
    @given(operation.as_strategy(generation_mode=mode), st.none() | SPEAKABLE)
    def check(case, text):
        if "speech" in path and mode is GenerationMode.POSITIVE and text:
            case.body["input"] = text
        response = case.call()
        statuses.add(response.status_code)
        case.validate_response(
            response,
            checks=[
                not_a_server_error,
                status_code_conformance,
                content_type_conformance,
                response_schema_conformance,
            ],
        )

    check()
    assert (200 in statuses) == (mode is GenerationMode.POSITIVE)
