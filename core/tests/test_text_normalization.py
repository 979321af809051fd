"""The clean-up that texts of every language get."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allophone.text.normalization import clean_text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\u201cIt\u2019s\u201d \u2018so\u2019", "\"It's\" 'so'"),
        ("  a\t b\u00a0c\n\nd ", "a b c d"),
        ("e\u0301", "\u00e9"),
        ("a\u200bb\ufeffc\u00ad\x00d\x1be", "abcde"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",) * 2,
        ("well\u2010known \u2212 5 \u2014 dash", "well-known - 5 \u2014 dash"),
    ],
)
def test_clean_text_unifies_quotes_spaces_and_composition(text: str, cleaned: str):
    assert clean_text(text) == cleaned


@given(st.text(max_size=60))
def test_clean_text_is_idempotent(text: str):
    once = clean_text(text)
    assert clean_text(once) == once


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("Ｈｅｌｌｏ，　ｗｏｒｌｄ！", "Hello, world!"),
        ("𝓗𝓮𝓵𝓵𝓸 𝐰𝐨𝐫𝐥𝐝 𝟙𝟚", "Hello world 12"),
        ("① ⓐ", "1 a"),
        ("ｶﾒﾗ", "カメラ"),
        ("I ❤️ you", "I ❤ you"),
        ("hi 👋🏽!", "hi 👋!"),
        ("x² ½ 1ª … ™ ﬁne", "x² ½ 1ª … ™ ﬁne"),
        ("한국어 naïve", "한국어 naïve"),
    ],
)
def test_letters_in_other_forms_become_plain_ones(written, plain):
    assert clean_text(written) == plain
