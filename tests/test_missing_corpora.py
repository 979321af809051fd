"""Recipes whose corpus reader is missing are listed, and name the package to install."""

from __future__ import annotations

import importlib.metadata

import pytest

from allophone.config import resolve
from allophone.errors import UserError
from allophone.registry import Registry, build_registry


@pytest.fixture
def without_corpora(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The registry of an environment in which allophone-corpora is not installed."""
    installed = importlib.metadata.entry_points
    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda group: [point for point in installed(group=group) if point.name != "corpora"],
    )
    return build_registry()


def test_recipes_are_listed_with_the_missing_corpus(without_corpora):
    assert {"vits/ljspeech", "valle/libritts"} <= set(without_corpora.entries("recipes"))
    said = r"recipe vits/ljspeech is not valid:\n  data\.corpora\.0: There is no corpus 'ljspeech'"
    with pytest.raises(UserError, match=said):
        resolve("vits/ljspeech", registry=without_corpora)
    recordings = "data.corpora=[{type = 'table', root = 'recordings'}]"
    assert resolve("vits/ljspeech", [recordings], registry=without_corpora).experiment.model


def test_the_error_names_the_package_to_install(without_corpora):
    with pytest.raises(UserError, match="pip install allophone-corpora"):
        resolve("vits/ljspeech", registry=without_corpora)
