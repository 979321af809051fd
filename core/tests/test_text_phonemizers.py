"""Phonemes by eSpeak NG, clause by clause and thread by thread; and graphemes."""

from __future__ import annotations

import sys
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest

from allophone.errors import UserError
from allophone.text.config import EspeakConfig, GraphemeConfig
from allophone.text.phonemizers import EspeakPhonemizer, GraphemePhonemizer

pytest.importorskip("espeakng_loader")
pytest.importorskip("phonemizer")

ENGLISH = [
    "The quick brown fox jumps over the lazy dog.",
    "How much wood would a woodchuck chuck, if it could?",
    "I don't know; nobody does: that's all!",
    'He said, "Go away!" and left.',
]
RUSSIAN = ["Привет, мир!", "Как дела?", "Сегодня хорошая погода."]
GERMAN = ["Guten Tag, wie geht es Ihnen?", "Das Wetter ist schön."]


@pytest.fixture(scope="module")
def espeak() -> EspeakPhonemizer:
    return EspeakPhonemizer(EspeakConfig())


def spoken(espeak: EspeakPhonemizer, text: str, language: str = "en-us") -> str:
    return "".join(espeak.phonemize([text], language)[0])


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("Hello, world!", "həlˈoʊ, wˈɜːld!"),
        ("no mark", "nˈoʊ mˈɑːɹk"),
        ("Is it 3.5? Yes; fine: go.", "ɪz ɪt θɹˈiː pɔɪnt fˈaɪv? jˈɛs; fˈaɪn: ɡˈoʊ."),
        ('She said "no," twice.', "ʃiː sˈɛd nˈoʊ, twˈaɪs."),
        ("(Yes?!) No.", "jˈɛs? nˈoʊ."),
        ("Time — flies", "tˈaɪm; flˈaɪz"),
        ("Well... no", "wˈɛl. nˈoʊ"),
        ("Well… no…", "wˈɛl. nˈoʊ."),
        ("", ""),
        ("... !", ""),
        ("“…” -", ""),
        ("nul\0byte", "nˈʌl bˈaɪt"),
    ],
)
def test_words_keep_their_spaces_and_clauses_their_marks(
    espeak: EspeakPhonemizer, text: str, phonemes: str
):
    assert spoken(espeak, text) == phonemes


@pytest.mark.parametrize(
    ("language", "text", "marks"),
    [
        ("cmn", "你好，你好！很好。你呢？", ",!.?"),
        ("ar", "مرحبا، كيف حالك؟", ",?"),
        ("hi", "नमस्ते। आप कैसे हैं?", ".?"),
        ("fr", "Bonjour ! Ça va ? Oui ; merci : bien.", "!?;:."),
    ],
)
def test_marks_of_other_scripts_become_the_six(
    espeak: EspeakPhonemizer, language: str, text: str, marks: str
):
    found = [symbol for symbol in spoken(espeak, text, language) if symbol in ".,;:?!"]
    assert "".join(found) == marks


def test_symbols_are_single_code_points_in_nfd(espeak: EspeakPhonemizer):
    symbols = espeak.phonemize(["un bon vin blanc"], "fr")[0]
    assert all(len(symbol) == 1 for symbol in symbols)
    assert "\N{COMBINING TILDE}" in symbols
    assert "".join(symbols) == unicodedata.normalize("NFD", "".join(symbols))


def test_words_of_another_language_carry_no_flags(espeak: EspeakPhonemizer):
    assert "(" not in spoken(espeak, "Это weekend, да.", "ru")


def test_stress_can_be_left_out():
    plain = EspeakPhonemizer(EspeakConfig(stress=False))
    assert spoken(plain, "Hello, photographer!") == "həloʊ, fətɑːɡɹəfɚ!"


def test_a_batch_equals_single_texts(espeak: EspeakPhonemizer):
    assert espeak.phonemize(ENGLISH, "en-us") == [
        espeak.phonemize([text], "en-us")[0] for text in ENGLISH
    ]


def test_an_unknown_language_is_an_error_with_a_near_miss(espeak: EspeakPhonemizer):
    with pytest.raises(UserError, match="no language 'en-uz'") as raised:
        espeak.phonemize(["hello"], "en-uz")
    assert raised.value.hint is not None
    assert "en-us" in raised.value.hint


def test_missing_packages_say_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(UserError, match=r"allophone\[espeak\]"):
        EspeakPhonemizer(EspeakConfig()).phonemize(["hello"], "en-us")


def test_threads_with_other_texts_and_languages_do_not_disturb_each_other():
    work = [("en-us", ENGLISH), ("ru", RUSSIAN), ("de", GERMAN), ("en-us", ENGLISH[::-1])]
    alone = EspeakPhonemizer(EspeakConfig())
    expected = [alone.phonemize(texts * 20, language) for language, texts in work]
    shared = EspeakPhonemizer(EspeakConfig())
    barrier = threading.Barrier(len(work))

    def together(job: tuple[str, list[str]]) -> list[list[str]]:
        barrier.wait()
        return shared.phonemize(job[1] * 20, job[0])

    with ThreadPoolExecutor(len(work)) as threads:
        for _ in range(3):
            assert list(threads.map(together, work)) == expected


def test_threads_that_come_and_go_reuse_one_engine(monkeypatch: pytest.MonkeyPatch):
    from allophone.text import espeak as binding

    made = []
    build = binding.EspeakEngine.__init__

    def counted(self: binding.EspeakEngine, language: str) -> None:
        made.append(language)
        build(self, language)

    monkeypatch.setattr(binding.EspeakEngine, "__init__", counted)
    phonemizer = EspeakPhonemizer(EspeakConfig())
    for _ in range(5):
        thread = threading.Thread(target=phonemizer.phonemize, args=(ENGLISH, "en-us"))
        thread.start()
        thread.join()
    assert made == ["en-us"]


def test_english_agrees_with_piper(espeak: EspeakPhonemizer):
    """Piper's library is a later version, which glides from i to a vowel with a ʲ of its own."""
    piper = pytest.importorskip("piper.phonemize_espeak").EspeakPhonemizer()
    for text in ENGLISH:
        sentences = piper.phonemize("en-us", text)
        theirs = " ".join("".join(symbols).strip() for symbols in sentences)
        assert spoken(espeak, text) == theirs.replace("ʲ", "")


def test_graphemes_are_the_characters():
    small = GraphemePhonemizer(GraphemeConfig())
    assert small.phonemize(["Ça  va?", ""], "fr") == [list("ça va?"), []]
    assert small.phonemize(["e\N{COMBINING ACUTE ACCENT}"], "fr") == [["é"]]
    kept = GraphemePhonemizer(GraphemeConfig(lowercase=False))
    assert kept.phonemize(["Ça"], "fr") == [["Ç", "a"]]
