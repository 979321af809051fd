"""Recipes whose corpus reader is missing are listed, and name the package to install."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest

from allophone.config import resolve
from allophone.errors import UserError
from allophone.preparation.prepare import prepare
from allophone.registry import Registry, build_registry, default_registry


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


def test_a_corpus_that_is_not_there_says_where_it_can_be_had(tmp_path):
    for name, entry in default_registry().entries("corpora").items():
        missing = f"data.corpora=[{{type = '{name}', root = '{tmp_path / 'nowhere'}'}}]"
        if name == "table":
            missing = missing.replace("}]", ", file = 'list.csv'}]")
        experiment = resolve(
            "hifigan/tiny", [missing, f"data.directory='{tmp_path / 'data'}'"]
        ).experiment
        with pytest.raises(UserError, match="nowhere is not a folder") as caught:
            prepare(experiment, default_registry())
        assert ("can be had from" in caught.value.hint) == (name != "table")
        assert entry.source in caught.value.hint


def test_one_that_is_incomplete_does_not_send_the_user_away(tmp_path):
    (tmp_path / "metadata.txt").touch()
    there = f"data.corpora=[{{type = 'ljspeech', root = '{tmp_path}'}}]"
    experiment = resolve("hifigan/tiny", [there, f"data.directory='{tmp_path}'"]).experiment
    with pytest.raises(UserError, match=r"has no metadata\.csv") as caught:
        prepare(experiment, default_registry())
    assert "can be had" not in str(caught.value)


def test_the_page_on_corpora_names_the_same_places():
    page = (Path(__file__).parents[1] / "docs" / "corpora.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*https?://.*|Debian: `.*) \|$", page, re.MULTILINE))
    entries = default_registry().entries("corpora")
    assert {"ljspeech", "vctk", "libritts", "hifitts", "librilight"} <= rows.keys()
    for name, row in rows.items():
        for address in re.findall(r"https?://[^\s<>;|]+", row):
            assert address in entries[name].source
        for words in re.findall(
            r"[\d.]+ [GT]B|CC BY [\d.]+|public domain|apt-get install [\w-]+", row
        ):
            assert words in entries[name].source
