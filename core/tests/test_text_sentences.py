"""Where sentences end, and that nothing but white space is lost between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allophone.text.sentences import LONGEST_SENTENCE, cut_long, split_sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["Hello.", "World!", "How are you?", "Fine"],
        ['He said "Go!" and left.', '"Why?" she asked.', "\u201cBecause.\u201d", "Then."],
        ["Wait... what?", "Hmm\u2026", "Yes."],
        ["Mr. Smith lives at No. 5 Main St. in the U.S. Army.", "He said no.", "Then he left."],
        ["He met J. R. R. Tolkien at 6 p.m.", "The end."],
        ["So do I.", "You too."],
        ["It costs $3.50, e.g. on Mondays vs. Tuesdays.", "2.5 is less."],
        ["It was 1999.", "Then came 2000."],
        ["(It rained.)", "[It stopped!]", "Good."],
        ["Das ist z. B. Berlin.", "Und dann?"],
        ["Привет!", "Как дела?", "Хорошо."],
        ["¿Qué tal?", "¡Muy bien!"],
        ["你好。", "今天天气很好！", "“是吗？”", "好"],
        ["नमस्ते।", "आप कैसे हैं?"],
    ],
)
def test_texts_are_divided_at_the_ends_of_sentences(sentences: list[str]):
    joint = "" if sentences[0].startswith("你") else " "
    assert split_sentences(joint.join(sentences)) == sentences


def test_an_empty_line_ends_a_sentence_and_a_single_break_does_not():
    assert split_sentences("Title\n\nFirst line\nsecond line.") == [
        "Title",
        "First line\nsecond line.",
    ]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Chapter One\nIt was dark. So dark", ["Chapter One", "It was dark.", "So dark"]),
        ('The Title\n"Go!" he said.', ["The Title", '"Go!" he said.']),
        ("News\n3 people came.", ["News", "3 people came."]),
        (
            "A line that is\nbroken here\nBut Anna came.",
            ["A line that is\nbroken here\nBut Anna came."],
        ),
        (
            "The meeting of the committee that took place in the old town hall of\nBerlin was long.",
            [
                "The meeting of the committee that took place in the old town hall of\nBerlin was long."
            ],
        ),
        ("Buy:\n- milk\n- two eggs\nThen go.", ["Buy:", "- milk", "- two eggs", "Then go."]),
        ("1. Milk\n2. Eggs\n10) Bread", ["1. Milk", "2. Eggs", "10) Bread"]),
        ("\u2022 one\n\u2022 two", ["\u2022 one", "\u2022 two"]),
        ("a) one\nb) two", ["a) one", "b) two"]),
        ("We have 3.\nThen we go.", ["We have 3.", "Then we go."]),
        ("One,\nTwo", ["One,\nTwo"]),
    ],
)
def test_titles_and_items_of_lists_are_sentences(text, sentences):
    assert split_sentences(text) == sentences


@pytest.mark.parametrize(
    ("language", "text", "count"),
    [
        ("de", "Am 3. Mai kam er. Dann ging er.", 2),
        ("de-AT", "Im 19. Jahrhundert. Und heute?", 2),
        ("cs", "Dne 28. října. Potom.", 2),
        ("da", "Den 2. Maj.", 1),
        ("en", "We have 3. Then we go.", 2),
        ("de", "Es war 1999. Dann kam er.", 2),
        ("fr", "Il y en a 3. Puis rien.", 2),
    ],
)
def test_a_period_of_an_ordinal_number_is_no_end(language, text, count):
    assert len(split_sentences(text, language)) == count


def test_raw_phonemes_stay_whole():
    text = "Say [[wˈʌt? nˈoʊ. Jˈɛs!]] now. Then [[a. B]]"
    assert split_sentences(text) == ["Say [[wˈʌt? nˈoʊ. Jˈɛs!]] now.", "Then [[a. B]]"]


@pytest.mark.parametrize("text", ["", "  \n\n \t"])
def test_white_space_holds_no_sentence(text: str):
    assert split_sentences(text) == []


PIECES = st.sampled_from(
    [
        "a",
        "Bc",
        "Mr",
        "5",
        ".",
        "?",
        "!",
        "...",
        " ",
        "\n\n",
        "\n",
        "- ",
        "[[",
        "]]",
        '"',
        ")",
        "。",
        "u.S.",
        "é",
    ]
)


@given(pieces=st.lists(PIECES, max_size=40))
def test_nothing_but_white_space_is_lost(pieces: list[str]):
    text = "".join(pieces)
    sentences = split_sentences(text)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert all(sentence == sentence.strip() != "" for sentence in sentences)


def test_long_texts_take_linear_time():
    sentence = "The quick brown fox jumps over the lazy dog."
    assert split_sentences(f"{sentence} " * 20_000) == [sentence] * 20_000
    assert len(split_sentences("- item\n" * 20_000)) == 20_000
    assert len(split_sentences("x" * 400_000 + "\nY" * 100)) == 1


@pytest.mark.parametrize("joint", [" ", ", ", ""])
def test_long_sentences_are_cut(joint):
    words = [f"word{number}" for number in range(900)]
    sentence = joint.join(words)
    pieces = cut_long(sentence)
    assert all(0 < len(piece) <= LONGEST_SENTENCE for piece in pieces)
    assert "".join(pieces).replace(" ", "") == sentence.replace(" ", "")
    if joint:
        assert set(" ".join(pieces).replace(",", "").split()) == set(words)
    if joint == ", ":
        assert all(piece.endswith(",") for piece in pieces[:-1])


def test_raw_phonemes_are_never_cut():
    raw = "[[" + "ab " * 300 + "]]"
    assert cut_long(f"{'x ' * 230}{raw} and on") == [("x " * 230).strip(), raw, "and on"]
    assert cut_long("Short, and sweet.") == ["Short, and sweet."]
