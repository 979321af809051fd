"""Phones of a corpus by name: the table of [text], and how front ends use it."""

from __future__ import annotations

import pytest

from allophone.config import read_toml, structure, write_toml
from allophone.config.converting import unstructure
from allophone.errors import ConfigError, UserError
from allophone.text.config import GraphemeConfig, TextConfig
from allophone.text.frontend import build_frontend
from allophone.text.phones import PhoneMap

LETTERS = {letter: letter.upper() for letter in "abcdefgho"} | {" ": "", ".": "pau", ",": "pau"}


def symbols(text: str, *, edges: str | None = None, **phones: str) -> list[str]:
    table = TextConfig(phonemizer=GraphemeConfig(), phones=LETTERS | phones, edges=edges)
    return build_frontend(table).symbols(text)


def test_the_longest_entry_is_taken():
    names = PhoneMap({"a": "A", "ab": "X Y", "abc": "", "c": "C"}).names
    assert names("aabcabcca") == ["A", "C", "A"]
    assert names("ab") == ["X", "Y"]
    assert names("") == []


def test_one_spelling_of_unicode_is_as_good_as_the_other():
    composed, decomposed = "\u00e9", "e\u0301"
    for key in (composed, decomposed):
        for text in (composed, decomposed):
            assert PhoneMap({key: "E1", "e": "E"}).names(text) == ["E1"]


def test_what_has_no_entry_is_named():
    with pytest.raises(UserError, match=r"no entry for 'ɕ' \(U\+0255 .*\), as in 'abɕa'"):
        PhoneMap({"a": "A", "b": "B", " ": ""}).names("ba abɕa ba")


def test_words_marks_and_raw_phones():
    assert symbols("cab, head.") == ["C", "A", "B", "pau", "H", "E", "A", "D", "pau"]
    assert symbols("a [[AA1 tt]], b") == ["A", "AA1", "tt", "pau", "B"]
    assert symbols("[[AA1]][[BB]]") == ["AA1", "BB"]
    assert symbols("a[[x]]b") == ["A", "x", "B"]
    assert symbols("") == []


def test_entries_may_span_what_the_phonemizer_writes_between_words():
    assert symbols("a. b", **{". ": "long"}) == ["A", "long", "B"]
    assert symbols("cab head", **{"b ": "bb"}) == ["C", "A", "bb", "H", "E", "A", "D"]


def test_edges_are_put_where_they_are_not():
    assert symbols("cab", edges="pau") == ["pau", "C", "A", "B", "pau"]
    assert symbols("cab.", edges="pau") == ["pau", "C", "A", "B", "pau"]
    assert symbols("[[pau]] cab", edges="pau") == ["pau", "C", "A", "B", "pau"]
    assert symbols("", edges="pau") == []


def test_a_table_survives_a_file(tmp_path):
    phones = {
        "ˈoʊ": "OW1",
        '"': "",
        ".": "pau",
        " ": "",
        "\\": "b",
        "#": "h",
        "[": "",
        "n̩": "AH0 N",
    }
    text = TextConfig(phonemizer=GraphemeConfig(lowercase=False), phones=phones)
    write_toml(tmp_path / "text.toml", unstructure(text))
    again = structure(TextConfig, read_toml(tmp_path / "text.toml"))
    assert again == text
    assert hash(again) == hash(text)


def test_without_a_phonemizer_the_characters_are_the_symbols():
    for plain in ({}, {"phonemizer": {}}, {"phonemizer": {"type": "graphemes"}}):
        text = structure(TextConfig, plain)
        assert text == TextConfig() == TextConfig(phonemizer=GraphemeConfig())
        assert "".join(build_frontend(text).symbols("Hello.")) == "hello."
    kept = structure(TextConfig, {"phonemizer": {"lowercase": False}})
    assert kept.phonemizer == GraphemeConfig(lowercase=False)
    assert unstructure(TextConfig())["phonemizer"] == {"type": "graphemes", "lowercase": True}
    with pytest.raises(ConfigError, match="must set type"):
        structure(TextConfig, {"phonemizer": {"type": 3}})


@pytest.mark.parametrize("phones", [{"": "A"}, {"a": 3}])
def test_tables_are_checked(phones):
    with pytest.raises(ConfigError, match="phones"):
        structure(TextConfig, {"phones": phones})
