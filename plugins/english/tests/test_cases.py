"""Every case of `cases.txt`: what is written, and what a reader says."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from allophone.registry import default_registry
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
    # Signs and words have their section for what stands around them.
    if kind not in ("PLAIN", "VERBATIM"):
        assert kind in {token.kind.name for token in english.tokens(written)}


def test_there_are_cases_of_every_class_and_none_twice():
    assert len(CASES) > 300
    assert {kind for kind, _, _ in CASES} | {"PUNCT"} == {kind.name for kind in Kind}
    assert len({written for _, written, _ in CASES}) == len(CASES)


READINGS = (1, "555fd96d505d9667")
"""The version of the normalizer, and a digest of how it reads all cases."""


def test_the_version_is_raised_with_the_readings():
    """Where features are stored, only the version tells that texts are read otherwise than before."""
    said = "\n".join(sorted(english(written) for _, written, _ in CASES))
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    version = default_registry().entries("normalizers")["en"].version
    assert (version, digest) == READINGS, (
        "raise the version in hooks.py if a case that was there before is read otherwise, and write both here"
    )
