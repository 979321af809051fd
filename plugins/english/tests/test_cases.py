"""Every case of `cases.txt`: what is written, and what a reader says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from allophone_english.normalizer import EnglishNormalizer
from allophone_english.tokens import Kind

english = EnglishNormalizer()


def cases() -> list[tuple[str, str, str]]:
    found = []
    kind = ""
    for line in Path(__file__).with_name("cases.txt").read_text("utf-8").splitlines():
        if heading := re.fullmatch(r"\[(\w+).*\]", line):
            kind = heading[1]
        elif line and not line.startswith("# "):
            written, _, said = line.partition(" => ")
            found.append((kind, written, said))
    return found


CASES = cases()


@pytest.mark.parametrize(("kind", "written", "said"), CASES)
def test_a_text_is_read_as_a_reader_would(kind: str, written: str, said: str):
    assert english(written) == said


def test_there_are_cases_of_every_class_and_none_twice():
    assert len(CASES) > 300
    assert {kind for kind, _, _ in CASES} | {"PUNCT"} == {kind.name for kind in Kind}
    assert len({written for _, written, _ in CASES}) == len(CASES)
