"""Languages by what people write for them."""

from __future__ import annotations

import logging

import pytest

from allophone.config import Experiment, structure
from allophone.errors import UserError
from allophone.preparation.prepare import prepare
from allophone.registry import default_registry
from allophone.text.config import TextConfig
from allophone.text.frontend import build_frontend, find_normalizer
from allophone_espeak.config import EspeakConfig
from allophone_espeak.engine import EspeakEngine, languages
from allophone_espeak.phonemizers import EspeakPhonemizer
from allophone_testing.corpus import write_corpus

WITHOUT_DICTIONARY = {"fo", "kaa", "xex"}
"""What the data of espeakng-loader lists, and does not hold."""


@pytest.mark.parametrize(
    ("written", "file"),
    [
        ("en-gb", "gmw/en"),
        ("en", "gmw/en"),
        ("EN", "gmw/en"),
        ("en_US", "gmw/en-US"),
        ("en-AU", "gmw/en"),
        ("en_CA", "gmw/en-US"),
        ("english", "gmw/en"),
        ("English (America)", "gmw/en-US"),
        ("fr-fr", "roa/fr"),
        ("fr", "roa/fr"),
        ("fr-CA", "roa/fr"),
        ("French (Belgium)", "roa/fr-BE"),
        ("de-DE", "gmw/de"),
        ("de_AT", "gmw/de"),
        ("German", "gmw/de"),
        ("es-ES", "roa/es"),
        ("es-MX", "roa/es-419"),
        ("es_AR", "roa/es-419"),
        ("pt-PT", "roa/pt"),
        ("pt_BR", "roa/pt-BR"),
        ("zh", "sit/cmn"),
        ("zh-CN", "sit/cmn"),
        ("zh-Hans-CN", "sit/cmn"),
        ("zh_Hant_HK", "sit/yue"),
        ("mandarin", "sit/cmn"),
        ("ja-JP", "jpx/ja"),
        ("no", "gmq/nb"),
        ("nb-NO", "gmq/nb"),
        ("iw", "sem/he"),
        ("sr-Latn-RS", "zls/sr"),
        ("ru_RU", "zle/ru"),
        (" it ", "roa/it"),
    ],
)
def test_a_language_is_found_as_people_write_it(written, file):
    assert languages().by_code[languages().resolve(written)].identifier == file


@pytest.mark.parametrize("code", sorted(set(languages().by_code) - WITHOUT_DICTIONARY))
def test_every_code_that_is_listed_works(code):
    assert languages().resolve(code) == code


@pytest.mark.parametrize("code", ["en-gb", "fr-fr", "zh", "vi-vn-x-central", "yue", "grc", "eu"])
def test_engines_take_what_is_resolved(code):
    assert EspeakEngine(code).clauses("1, 2.")


@pytest.mark.parametrize("written", ["", "xx", "no-such-language", "en-uzz", "english-ish", "12"])
def test_what_is_no_language_is_refused(written):
    with pytest.raises(UserError, match=f"no language '{written}'"):
        EspeakPhonemizer(EspeakConfig()).resolve(written)


@pytest.mark.parametrize("code", sorted(WITHOUT_DICTIONARY))
def test_a_language_without_a_dictionary_is_refused(code):
    with pytest.raises(UserError, match=rf"lists '{code}'[^$]*lacks its dictionary"):
        EspeakPhonemizer(EspeakConfig()).phonemize(["Hello."], code)


def text_config(language: str) -> TextConfig:
    return TextConfig(language=language, phonemizer=EspeakConfig())


def test_a_front_end_speaks_the_language_that_is_meant(caplog):
    meant, said = (build_frontend(text_config(code)) for code in ("en-us", "en_US"))
    assert said.symbols("Tuesday, 3 p.m.") == meant.symbols("Tuesday, 3 p.m.")
    assert not caplog.records, "another spelling needs no word"


def test_what_is_read_as_another_language_is_said_once(caplog):
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        build_frontend(text_config("pt"), "German").symbols("Hallo.")
    assert [record.getMessage() for record in caplog.records] == [
        "The language 'German' is read as 'de'."
    ]


def test_normalizers_serve_the_language_that_is_meant():
    registry = default_registry()
    codes = [name for name in registry.entries("normalizers") if name == "en"]
    for written in ("en_US", "English (America)", "EN"):
        found = find_normalizer(text_config("en"), written, registry)
        assert (found is not None) == bool(codes)


def experiment(tmp_path, language: str) -> Experiment:
    write_corpus(tmp_path / "corpus")
    table = {
        "text": {"language": language, "phonemizer": {"type": "espeak"}},
        "data": {
            "directory": str(tmp_path / "data"),
            "corpora": [{"type": "table", "root": str(tmp_path / "corpus")}],
        },
    }
    return structure(Experiment, table, where="test")


def test_prepare_refuses_what_extract_would_refuse(tmp_path):
    with pytest.raises(UserError, match="no language 'xx'"):
        prepare(experiment(tmp_path, "xx"), default_registry())
    assert not (tmp_path / "data").exists()
    prepare(experiment(tmp_path, "de_DE"), default_registry())
