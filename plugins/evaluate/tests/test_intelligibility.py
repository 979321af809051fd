"""Word and character errors: the rules of comparison, the rates, and where a recogniser is found."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from allophone.errors import UserError
from allophone.metrics.protocol import MetricContext, SynthesizedSpeech
from allophone.metrics.scores import score
from allophone.registry import default_registry
from allophone_evaluate.config import IntelligibilityConfig
from allophone_evaluate.metrics import intelligibility
from allophone_evaluate.metrics.transcripts import comparable, model_folder
from allophone_evaluate.packages import required_package
from allophone_evaluate.settings import AUDIO

RATE = 16000


@pytest.fixture
def hearing(monkeypatch):
    """hearing(transcript) is the metric with a recogniser that always understands the same."""

    def metric(transcript):
        monkeypatch.setattr(
            intelligibility, "whisper", lambda model, **how: lambda *speech: transcript
        )
        return intelligibility.Intelligibility(
            IntelligibilityConfig(model="ears"), MetricContext(audio=AUDIO)
        )

    return metric


def said(text, language="en"):
    samples = np.zeros(RATE, np.float32)
    return SynthesizedSpeech(
        id="a", samples=samples, sample_rate=RATE, text=text, language=language
    )


@pytest.mark.parametrize(
    ("text", "transcript", "wer"),
    [
        ("The sun rose slowly.", "the sun, rose slowly", 0),
        ("The sun rose slowly.", "the sun slowly", 25),
        ("The sun rose slowly.", "the son rose slowly", 25),
        ("The sun rose slowly.", "the sun then rose slowly", 25),
        ("The sun rose slowly.", "", 100),
        ("Sun.", "the sun rose", 200),
        ("It’s a “test”_case — really!", "it's a test case really", 0),
    ],
)
def test_errors_are_counted_per_word(hearing, text, transcript, wer):
    assert hearing(transcript).score([said(text)])[0]["wer"] == pytest.approx(wer)


def test_errors_are_counted_per_character(hearing):
    assert hearing("bat").score([said("Cat.")]) == [{"wer": 100, "cer": pytest.approx(100 / 3)}]


def test_a_text_without_words_has_no_rate(hearing):
    (found,) = hearing("something").score([said("...")])
    assert math.isnan(found["wer"])
    assert math.isnan(found["cer"])


def test_the_mean_is_the_rate_of_all_words(hearing):
    entry = default_registry().find("metrics", "intelligibility")
    found = score(entry, hearing("one"), [said("one"), said("one two three four five")])
    assert found["wer"].values == (0, 80)
    assert found["wer"].mean == pytest.approx(100 * 4 / 6)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Grüße, STRASSE", "de", "grüsse strasse"),
        ("Ещё за\u0301мок", "ru", "еще замок"),
        ("a  b\n c", None, "a b c"),
    ],
)
def test_texts_are_compared_by_rules(text, language, expected):
    assert comparable(text, language) == expected


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Room 42", "en-us", "room forty two"),
        ("42", "de", "zweiundvierzig"),
        ("42", "tlh", "42"),
    ],
)
def test_numbers_are_written_out_where_the_language_is_known(text, language, expected):
    pytest.importorskip("num2words", reason="num2words is not installed")
    assert comparable(text, language) == expected


def test_a_recogniser_is_a_folder_or_in_a_package(tmp_path, monkeypatch):
    inside = tmp_path / "ears_for_tests" / "small"
    inside.mkdir(parents=True)
    (tmp_path / "ears_for_tests" / "__init__.py").touch()
    (inside / "model.bin").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert model_folder(str(inside)) == inside
    assert model_folder("ears_for_tests:small") == inside
    with pytest.raises(UserError, match=r"(?s)There is no model.bin in .*large.*not downloaded"):
        model_folder("ears_for_tests:large")


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        ("tiny.en", r"There is no model.bin in tiny.en"),
        ("no_such_package:model", "in the package no_such_package, which is not installed"),
    ],
)
def test_a_recogniser_that_is_missing_is_named(model, complaint):
    with pytest.raises(UserError, match=complaint) as caught:
        model_folder(model)
    assert caught.value.hint


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "distillmos", None)
    with pytest.raises(UserError, match=r"'mos' needs the package distillmos") as caught:
        required_package("distillmos", metric="mos", extra="mos")
    assert caught.value.hint == "pip install 'allophone-evaluate[mos]'"
