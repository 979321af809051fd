"""Times of phones from label files: Festvox's `.lab`, Praat's TextGrids, and folders of them."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from attrs import evolve
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from allophone.audio.melspec import MelSpec
from allophone.cli.prepare import command
from allophone.config import Experiment, structure
from allophone.data.labels import read_labels
from allophone.data.manifest import Utterance, read_manifest
from allophone.errors import UserError
from allophone.features.config import DurationsConfig, PhonesConfig
from allophone.features.labels import DurationsExtractor, PhonesExtractor
from allophone.features.protocol import ExtractionContext
from allophone.features.recordings import RecordingReader
from allophone.preparation.prepare import prepare
from allophone.registry import default_registry
from allophone.testing.corpus import letter_ends, synthetic_speech, write_corpus

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
    ("old", "new", "complaint"),
    [
        ('"ooTextFile"', '"ooBinaryFile"', "is not a TextGrid"),
        ("<exists>", "<absent>", "a.TextGrid:6 holds <absent>"),
        ('"phones"', '"phonemes"', "no tier 'phones' of intervals; there is: 'words', 'clicks'"),
        ("xmax = 0.5\n", "xmax = half\n", 'a.TextGrid:41 holds "AA1" where a number'),
        ('text = "AA1"', "text = AA1", "a.TextGrid:43 holds 0.5 where a text"),
        ("xmax = 0.5\n", "xmax = 0.2\n", "a.TextGrid:41 holds an interval from 0.25 to 0.2"),
        ("xmin = 0.5\n", "xmin = 0.4\n", "a.TextGrid:45 holds an interval from 0.4 on"),
        ("size = 5", "size = 6", "ends where a number should be"),
        ("size = 5", "size = 5.5", "where a whole number should be"),
        ('"TextTier"', '"PitchTier"', "unknown class 'PitchTier'"),
    ],
)
def test_what_is_wrong_with_a_textgrid_is_named_with_its_line(tmp_path, old, new, complaint):
    assert old in LONG
    with pytest.raises(UserError, match=complaint):
        read(tmp_path, LONG.replace(old, new))


def test_labels_that_cannot_be_read_are_an_error(tmp_path):
    (tmp_path / "a.TextGrid").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        read_labels(tmp_path / "a.TextGrid")
    with pytest.raises(UserError, match="cannot be read"):
        read_labels(tmp_path / "none.TextGrid")


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("seconds", [1.2, 1.5, 2.0])
def test_durations_add_up_to_the_frames_of_the_recording(tmp_path, center, seconds):
    spec = MelSpec(sample_rate=16000, n_fft=512, hop_length=128, win_length=512, center=center)
    (tmp_path / "a.TextGrid").write_text(LONG, encoding="utf-8")
    soundfile.write(tmp_path / "a.wav", np.zeros(int(16000 * seconds)), 16000)
    utterance = Utterance(
        id="a", audio=str(tmp_path / "a.wav"), text="", labels=str(tmp_path / "a.TextGrid")
    )
    recordings = RecordingReader(sample_rate=16000, trim_db=None)
    context = ExtractionContext(
        audio=spec,
        load_audio=recordings,
        audio_key=recordings.key,
        frontend=lambda language: None,
        text_key={},
    )
    (phones,) = PhonesExtractor(PhonesConfig(silence="SIL"), context).extract([utterance])
    (durations,) = DurationsExtractor(DurationsConfig(), context).extract([utterance])
    assert phones.tolist() == ["SIL", "AA1", "SIL", "ʃ"]
    assert durations.sum() == spec.frames(int(16000 * seconds))
    # Ends are at 31.25, 62.5 and 125 hops, and centres half a hop after the beginning of each or at it.
    centres = np.arange(200) + (0 if center else 0.5)
    for end, found in zip((31.25, 62.5, 125), durations.cumsum()[:3], strict=True):
        assert found in ((centres < end).sum(), (centres <= end).sum())


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


@pytest.fixture
def folders(tmp_path):
    """A corpus of two speakers, and an empty folder for labels."""
    write_corpus(tmp_path / "recordings", utterances=6, speakers=2)
    (tmp_path / "aligned").mkdir()
    return tmp_path


def experiment(folders, labels="aligned"):
    columns = ["audio", "text", "speaker"]
    corpus = {"type": "table", "root": str(folders / "recordings"), "columns": columns}
    data = {
        "directory": str(folders / "data"),
        "corpora": [corpus],
        "labels": str(folders / labels),
    }
    return structure(Experiment, {"data": data}, registry=default_registry())


def test_labels_are_found_by_id_and_by_speaker(folders):
    aligned = folders / "aligned"
    (aligned / "speaker-1").mkdir()
    (aligned / "utterance-000.lab").write_text("#\n1 0 a\n")
    (aligned / "utterance-000.TextGrid").write_text(LONG)
    (aligned / "speaker-1" / "utterance-001.TextGrid").write_text(LONG)
    (aligned / "speaker-1" / "utterance-002.TextGrid").write_text("of the other speaker")
    prepared = prepare(experiment(folders), default_registry())
    assert set(prepared.unlabelled) == {f"utterance-00{n}" for n in (2, 3, 4, 5)}
    found = {u.id: u.labels for u in read_manifest(prepared.manifest)}
    assert found["utterance-000"] == str(aligned / "utterance-000.TextGrid")
    assert found["utterance-001"] == str(aligned / "speaker-1" / "utterance-001.TextGrid")
    assert found["utterance-002"] is None


def test_prepare_names_those_without_labels(folders):
    (folders / "aligned" / "utterance-000.lab").write_text("#\n1 0 a\n")
    path = folders / "experiment.toml"
    path.write_text(
        f'[data]\ndirectory = "{folders}/data"\nlabels = "{folders}/aligned"\n'
        f'[[data.corpora]]\ntype = "table"\nroot = "{folders}/recordings"\n'
        'columns = ["audio", "text", "speaker"]\n'
    )
    result = CliRunner().invoke(command, [str(path)], catch_exceptions=False)
    assert "5 utterances have no file in data.labels (utterance-001," in result.output.replace(
        "\n", " "
    )


def test_a_folder_without_any_labels_is_an_error(folders):
    with pytest.raises(UserError, match="no labels of any of 6 utterances") as refused:
        prepare(experiment(folders), default_registry())
    assert "utterance-000.TextGrid" in str(refused.value)
    with pytest.raises(UserError, match=r"no folder .*elsewhere"):
        prepare(experiment(folders, labels="elsewhere"), default_registry())


def test_labels_take_the_place_of_a_corpus_own(folders):
    (folders / "aligned" / "utterance-000.lab").write_text("#\n1 0 a\n")
    given_labels = experiment(folders)
    columns = ("audio", "text", "speaker", "labels")
    table = folders / "recordings" / "metadata.csv"
    lines = [f"{line}|own.lab" for line in table.read_text().split("\n") if line]
    table.write_text("\n".join(lines))
    corpus = evolve(given_labels.data.corpora[0], columns=columns)
    given_labels = evolve(given_labels, data=evolve(given_labels.data, corpora=(corpus,)))
    prepared = prepare(given_labels, default_registry())
    labels = [u.labels for u in read_manifest(prepared.manifest) if u.labels]
    assert labels == [str(folders / "aligned" / "utterance-000.lab")]
