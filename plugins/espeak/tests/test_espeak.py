"""Phonemes by eSpeak NG, clause by clause and thread by thread."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest

from allophone.config import structure
from allophone.errors import UserError
from allophone.registry import build_registry
from allophone.text.config import TextConfig
from allophone.text.frontend import build_frontend
from allophone_espeak.config import EspeakConfig
from allophone_espeak.engine import EspeakEngine, EspeakPool
from allophone_espeak.phonemizers import EspeakPhonemizer
from allophone_testing.light import HEAVY, heavy_imports

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


def test_language_flags_are_removed(espeak: EspeakPhonemizer):
    assert "(" not in spoken(espeak, "Это weekend, да.", "ru")


def test_stress_can_be_left_out():
    plain = EspeakPhonemizer(EspeakConfig(stress=False))
    assert spoken(plain, "Hello, photographer!") == "həloʊ, fətɑːɡɹəfɚ!"


def test_a_batch_equals_single_texts(espeak: EspeakPhonemizer):
    assert espeak.phonemize(ENGLISH, "en-us") == [
        espeak.phonemize([text], "en-us")[0] for text in ENGLISH
    ]


def test_an_unknown_language_is_an_error_with_a_suggestion(espeak: EspeakPhonemizer):
    with pytest.raises(UserError, match="no language 'en-uzz'") as raised:
        espeak.phonemize(["hello"], "en-uzz")
    assert raised.value.hint is not None
    assert "en-us" in raised.value.hint


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


def test_short_lived_threads_reuse_one_engine(monkeypatch: pytest.MonkeyPatch):
    made = []
    build = EspeakEngine.__init__

    def counted(self: EspeakEngine, language: str) -> None:
        made.append(language)
        build(self, language)

    monkeypatch.setattr(EspeakEngine, "__init__", counted)
    phonemizer = EspeakPhonemizer(EspeakConfig(), EspeakPool())
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


def run(code: str, *arguments: str) -> str:
    """The output of a program in a new interpreter."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


LOADED = """
import shutil
from allophone_espeak.engine import EspeakEngine
copies, copy = [], shutil.copy
shutil.copy = lambda *paths: copies.append(paths) or copy(*paths)
for language in ("en-us", "en-uzz", "de", "ru"):
    try:
        engine = EspeakEngine(language)
    except Exception as error:
        assert "en-uzz" in str(error)
    else:
        assert engine.clauses("Hello."), language
    print(len(copies))
with open("/proc/self/maps") as maps:
    print(len({line.split(maxsplit=5)[5] for line in maps if "espeak-ng" in line and ".so" in line}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_first_engine_copies_no_library_and_a_failed_one_leaks_none():
    assert run(LOADED).split() == ["0", "0", "1", "2", "3"]


MISSING_DATA = """
import espeakng_loader, sys
espeakng_loader.get_data_path = lambda: sys.argv[1]
from allophone.errors import UserError
from allophone_espeak.engine import EspeakEngine
try:
    EspeakEngine("en-us")
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize("long", [False, True])
def test_data_that_cannot_be_read_is_an_error_and_ends_no_process(tmp_path, long: bool):
    import espeakng_loader

    folder = tmp_path / "empty"
    folder.mkdir()
    if long:
        folder = tmp_path / ("x" * 160)
        folder.symlink_to(espeakng_loader.get_data_path())
    said = run(MISSING_DATA, str(folder))
    assert f"eSpeak NG cannot read its data in {folder}." in said
    assert "158 bytes" in said
    assert "pip install --force-reinstall espeakng-loader" in said


SPEAK = """
from allophone_espeak.config import EspeakConfig
from allophone_espeak.phonemizers import EspeakPhonemizer
assert EspeakPhonemizer(EspeakConfig()).phonemize(["Hello."], "en-us")
"""


def test_phonemizing_imports_nothing_heavy():
    assert heavy_imports(SPEAK, {*HEAVY, "phonemizer", "joblib", "tempfile"}) == {}


def test_stress_precedes_the_vowel():
    """Tables of [text.phones] rely on it."""
    phones = {"h": "HH", "ə": "AH0", "l": "L", "ˈoʊ": "OW1", ".": "sil"}
    table = TextConfig(phonemizer=EspeakConfig(), phones=phones, edges="sil")
    expected = ["sil", "HH", "AH0", "L", "OW1", "sil"]
    assert build_frontend(table).symbols("Hello.") == expected


@pytest.mark.parametrize("name", ["espeak", "espeak.phonemizer"])
def test_the_error_names_the_package_if_the_plugin_is_missing(monkeypatch, name: str):
    points = importlib.metadata.entry_points
    monkeypatch.setattr(
        "importlib.metadata.entry_points",
        lambda **group: [point for point in points(**group) if point.name != "espeak"],
    )
    with pytest.raises(UserError) as raised:
        structure(TextConfig, {"phonemizer": {"type": name}}, registry=build_registry())
    assert f"There is no phonemizer '{name}'" in str(raised.value)
    assert "pip install allophone-espeak" in str(raised.value)
