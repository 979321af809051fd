"""Times of phones from label files: Festvox's `.lab` and Praat's TextGrids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allophone.errors import UserError
from allophone_labels.label_files import read_labels
from allophone_testing.corpus import letter_ends, synthetic_speech, write_corpus

LONG = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0 ! the beginning
xmax = 1.5
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1.5
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = "say ""ah"""
    item [2]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 1.5
        points: size = 1
        points [1]:
            number = 0.3
            mark = "click"
    item [3]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1.5
        intervals: size = 5
        intervals [1]:
            xmin = 0
            xmax = 0.25
            text = "sil"
        intervals [2]:
            xmin = 0.25
            xmax = 0.5
            text = "AA1"
        intervals [3]:
            xmin = 0.5
            xmax = 0.75
            text = "sp"
        intervals [4]:
            xmin = 0.75
            xmax = 1.0
            text = ""
        intervals [5]:
            xmin = 1.0
            xmax = 1.5
            text = "ʃ"
'''
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
1.5
<exists>
1
"IntervalTier"
"phones"
0
1.5
3
0.25
0.5
"AA1"
1.0
1.25
"ʃ"
1.25
1.5
"AA1"
"""


def read(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "a.TextGrid"
    path.write_text(text, encoding=encoding)
    return [(phone.name, phone.end) for phone in read_labels(path)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_long_textgrids(tmp_path, encoding):
    # Three ways to call silence are one, and silences that touch are one.
    expected = [("", 0.25), ("AA1", 0.5), ("", 1.0), ("ʃ", 1.5)]
    assert read(tmp_path, LONG, encoding) == expected


def test_utf16_of_either_byte_order(tmp_path):
    for order in ("be", "le"):
        path = tmp_path / f"{order}.TextGrid"
        path.write_bytes(f"\ufeff{LONG}".encode(f"utf-16-{order}"))
        assert [phone.name for phone in read_labels(path)] == ["", "AA1", "", "ʃ"]


def test_short_textgrids_and_gaps(tmp_path):
    expected = [("", 0.25), ("AA1", 0.5), ("", 1.0), ("ʃ", 1.25), ("AA1", 1.5)]
    assert read(tmp_path, SHORT) == expected


@given(st.lists(st.tuples(st.text(max_size=5), st.floats(0.01, 2)), min_size=1, max_size=8))
def test_any_text_reads_back(tmp_path_factory, intervals):
    edges = np.concatenate([[0.0], np.cumsum([length for _, length in intervals])]).tolist()
    lines = [
        "0",
        str(edges[-1]),
        "<exists>",
        "1",
        '"IntervalTier"',
        '"phones"',
        "0",
        str(edges[-1]),
    ]
    lines.append(str(len(intervals)))
    for (text, _), start, end in zip(intervals, edges, edges[1:], strict=False):
        lines += [str(start), str(end), '"{}"'.format(text.replace('"', '""'))]
    content = '"ooTextFile"\n"TextGrid"\n' + "\n".join(lines)
    path = tmp_path_factory.mktemp("grid") / "a.TextGrid"
    path.write_bytes(content.encode())
    spoken = [text.strip() for text, _ in intervals]
    silent = {"", "sil", "sp", "spn", "<eps>"}
    names = [phone.name for phone in read_labels(path)]
    assert [name for name in names if name] == [name for name in spoken if name not in silent]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"ooTextFile"', '"ooBinaryFile"', "is not a TextGrid"),
        ("<exists>", "<absent>", "a.TextGrid:6: expected <exists>, found <absent>"),
        ('"phones"', '"phonemes"', "no interval tier 'phones'; its tiers are: 'words', 'clicks'"),
        ("xmax = 0.5\n", "xmax = half\n", 'a.TextGrid:41: expected a number, found "AA1"'),
        (
            'text = "AA1"',
            "text = AA1",
            "a.TextGrid:43: expected a string in quotation marks, found 0.5",
        ),
        (
            "xmax = 0.5\n",
            "xmax = 0.2\n",
            "a.TextGrid:41: the end of an interval, 0.2, is not after its start, 0.25",
        ),
        ("xmin = 0.5\n", "xmin = 0.4\n", "a.TextGrid:45: the interval starts at 0.4, before"),
        ("size = 5", "size = 6", "expected a number at its end"),
        ("size = 5", "size = 5.5", "expected a whole number"),
        ('"TextTier"', '"PitchTier"', "unknown tier class 'PitchTier'"),
    ],
)
def test_errors_in_a_textgrid_are_reported_with_the_line(tmp_path, old, new, message):
    assert old in LONG
    with pytest.raises(UserError, match=message):
        read(tmp_path, LONG.replace(old, new))


def test_labels_that_cannot_be_read_are_an_error(tmp_path):
    (tmp_path / "a.TextGrid").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        read_labels(tmp_path / "a.TextGrid")
    with pytest.raises(UserError, match="cannot be read"):
        read_labels(tmp_path / "none.TextGrid")


def test_the_synthetic_corpus_knows_when_its_letters_end(tmp_path):
    write_corpus(tmp_path, utterances=2, sample_rate=16000, labels=True)
    text = (tmp_path / "metadata.csv").read_text().split("\n")[1].split("|")[1]
    ends = letter_ends(text, sample_rate=16000, seed=1)
    samples = synthetic_speech(text, pitch=110, sample_rate=16000, seed=1)
    phones = read_labels(tmp_path / "labels" / "utterance-001.lab")
    assert [phone.name for phone in phones] == [c if c.isalpha() else "pau" for c in text]
    assert [round(phone.end * 16000) for phone in phones] == ends.tolist()
    assert ends[-1] == len(samples)
    starts = [0, *ends[:-1]]
    loudness = [np.abs(samples[start:end]).mean() for start, end in zip(starts, ends, strict=True)]
    silent = [level for level, c in zip(loudness, text, strict=True) if not c.isalpha()]
    heard = [level for level, c in zip(loudness, text, strict=True) if c.isalpha()]
    assert max(silent) < min(heard) / 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0.5 125 pau\n", "no line '#'"),
        ("#\n", "has no phones"),
        ("#\n0.5 125\n", "tone.lab:2: expected a line"),
        ("#\n0.5 125 a\n0.4 125 b\n", "tone.lab:3: the phone ends before"),
    ],
)
def test_broken_labels_are_named(tmp_path, content, message):
    path = tmp_path / "tone.lab"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_labels(path)
