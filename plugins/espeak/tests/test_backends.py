"""The backends of the package phonemizer."""

from __future__ import annotations

import stat
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from allophone.config import structure
from allophone.errors import UserError
from allophone.text.config import TextConfig
from allophone.text.frontend import build_frontend
from allophone_espeak.backends import BackendPhonemizer
from allophone_espeak.config import PhonemizerConfig
from allophone_testing.light import heavy_imports


@pytest.fixture
def segments() -> BackendPhonemizer:
    return BackendPhonemizer(PhonemizerConfig())


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("kwa nana", "kʷ ʌ _ n ʌ n ʌ"),
        ("Kwa, nana! Ka", "kʷ ʌ , _ n ʌ n ʌ ! _ k ʌ"),
        ("(kwa…) — «ka»", "kʷ ʌ . _ k ʌ"),
        ("kwa ?! ka", "kʷ ʌ ? _ k ʌ"),
        ("chi。", "tʃ ɪ ."),
        ("", ""),
        ("... !", ""),
    ],
)
def test_a_symbol_is_a_phone_and_clauses_keep_their_marks(segments, text: str, symbols: str):
    found = segments.phonemize([text], "cree")[0]
    assert [symbol.replace(" ", "_") for symbol in found] == symbols.split()


def test_a_batch_equals_single_texts(segments):
    texts = ["kwa.", "", "nana, ka", "?", "ka"]
    single = [segments.phonemize([text], "cree")[0] for text in texts]
    assert segments.phonemize(texts, "cree") == single


def test_a_custom_table_is_a_language(segments, tmp_path: Path):
    table = tmp_path / "mine.g2p"
    table.write_text("a\tα\nb\tβ\n", "utf-8")
    assert segments.phonemize(["abba"], str(table)) == [["α", "β", "β", "α"]]


def test_text_that_a_backend_cannot_read_is_an_error(segments):
    with pytest.raises(UserError, match=r"'segments' cannot phonemize 'kw9'"):
        segments.phonemize(["kwa.", "kw9, ka"], "cree")
    capitals = BackendPhonemizer(PhonemizerConfig(lowercase=False))
    with pytest.raises(UserError, match="'Kwa'"):
        capitals.phonemize(["Kwa"], "cree")


def test_an_unsupported_language_is_an_error_with_a_suggestion(segments):
    with pytest.raises(UserError, match="does not support the language 'creek'") as raised:
        segments.phonemize(["ka"], "creek")
    assert raised.value.hint is not None
    assert "'cree'" in raised.value.hint


def test_threads_share_a_backend(segments):
    barrier = threading.Barrier(4)

    def together(language: str) -> list[list[str]]:
        barrier.wait()
        return segments.phonemize(["ka na"] * 50, language)

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(together, ["cree", "sesotho"] * 2))
    assert found[:2] == found[2:]


@pytest.mark.parametrize("package", ["phonemizer", "segments"])
def test_a_missing_package_says_what_to_install(monkeypatch, package: str):
    for name in [name for name in sys.modules if name.split(".")[0] in ("phonemizer", "segments")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=package) as raised:
        BackendPhonemizer(PhonemizerConfig()).phonemize(["ka"], "cree")
    assert raised.value.hint == "pip install 'allophone-espeak[phonemizer]'"


@pytest.mark.parametrize(
    ("backend", "said"), [("festival", "apt install festival"), ("espeak-mbrola", "mbrola")]
)
def test_a_missing_program_says_what_to_install(monkeypatch, backend: str, said: str):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="a program that is not installed") as raised:
        BackendPhonemizer(PhonemizerConfig(backend=backend)).phonemize(["Hello"], "en-us")
    assert raised.value.hint is not None
    assert said in raised.value.hint


FESTIVAL = """\
    #!{python}
    # Festival as far as phonemizer talks to it: syllables of phones for "hello" and "world", nothing else.
    import re, sys
    if sys.argv[1] == "--version":
        print("Festival Speech Synthesis System: 2.5.0:release")
        sys.exit()
    said = {{"hello": ["hh ax", "l ow"], "world": ["w er l d"]}}
    data = re.search('load "([^"]*)"', open(sys.argv[2]).read())[1]
    for line in open(data).read().splitlines():
        words = [said[word] for word in line.strip('"').lower().split() if word in said]
        if "crash" in line:
            sys.exit(1)
        tree = " ".join(
            "(x " + " ".join("(y " + " ".join(f"(({{p}}))" for p in s.split()) + ")" for s in w) + ")"
            for w in words
        )
        print(f"({{tree}})" if words else "(nil nil nil)")
"""


@pytest.fixture
def festival(tmp_path: Path, monkeypatch) -> BackendPhonemizer:
    program = tmp_path / "festival"
    program.write_text(textwrap.dedent(FESTIVAL).format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PHONEMIZER_FESTIVAL_EXECUTABLE", str(program))
    return BackendPhonemizer(PhonemizerConfig(backend="festival"))


def test_festival_writes_phones_of_several_letters(festival):
    assert festival.phonemize(["Hello, world!", "", "world"], "en-us") == [
        ["hh", "ax", "l", "ow", ",", " ", "w", "er", "l", "d", "!"],
        [],
        ["w", "er", "l", "d"],
    ]


def test_clauses_without_phones_are_dropped(festival):
    found = festival.phonemize(["hello, xyz, world"], "en-us")[0]
    assert found == ["hh", "ax", "l", "ow", ",", " ", "w", "er", "l", "d"]


def test_text_that_crashes_festival_is_an_error(festival):
    with pytest.raises(UserError, match="cannot phonemize 'crash'"):
        festival.phonemize(["hello", "crash"], "en-us")


def test_the_backend_is_set_in_the_text_table():
    table = {"language": "cree", "phonemizer": {"type": "espeak.phonemizer", "backend": "segments"}}
    frontend = build_frontend(structure(TextConfig, table))
    assert frontend.symbols("kwa [[x]]") == ["kʷ", "ʌ", " ", "x"]


def test_phonemizer_is_imported_lazily():
    made = "from allophone_espeak.backends import *; p = BackendPhonemizer(PhonemizerConfig());"
    assert heavy_imports(made, {"phonemizer"}) == {}
    assert heavy_imports(made + "p.phonemize(['ka'], 'cree')", {"phonemizer"})
