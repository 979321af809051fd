"""Peculiarities of single corpora: songs, splitting at silences, published splits, unusual names."""

from __future__ import annotations

import json

import numpy as np
import pytest
from corpus_trees import phrases, record, tone, write
from song_trees import SONGS
from speech_trees import SPEECH

from allophone.config import Experiment, structure
from allophone.config.experiment import SplitsConfig
from allophone.data.manifest import read_manifest
from allophone.errors import ConfigError, UserError
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.preparation.splits import assign_splits
from allophone.registry import default_registry


def read(name, root, **fields):
    """The utterances by id."""
    table = {"type": name, "root": str(root), **fields}
    (config,) = structure(Experiment, {"data": {"corpora": [table]}}).data.corpora
    found = default_registry().load("corpora", name, "reader")(config)
    return {utterance.id: utterance for utterance in found}


@pytest.fixture
def written(tmp_path):
    def write_tree(name):
        (SPEECH | SONGS)[name].write(tmp_path)
        return tmp_path

    return write_tree


def test_csd_utterances_have_a_margin_of_a_tenth_of_a_second(written):
    found = read("csd", written("csd"))
    first, second = found["en001b_0000"], found["en001b_0001"]
    assert (first.start, first.end) == pytest.approx((0.9, 2.0))
    assert (second.start, second.end) == pytest.approx((1.9, 3.5))
    assert found["en001a_0000"].start == 0.0, "0.05 s less a tenth"
    assert [found[f"{song}_0000"].group for song in ("en001a", "en001b", "kr001a")] == [
        "en001",
        "en001",
        "kr001",
    ]


def test_csd_with_one_language(written):
    korean = read("csd", written("csd"), languages=["korean"])
    assert {u.language for u in korean.values()} == {"ko"}


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("start,end,pitch,syllable\n0,1,60,a", r"en001a\.txt has 5 syllables, .* has 1 rows"),
        ("start;end;pitch\n0;1;60", r"en001a\.csv:1 must have the columns"),
        (
            "start,end,pitch,syllable\nsoon,1,60,a",
            r"csv:2: start must be a number of seconds, not 'soon'",
        ),
        ("start,end,pitch,syllable\n0", r"csv:2: end must be a number of seconds, not None"),
        (
            "start,end,pitch,syllable\n2,1,60,a",
            r"csv:2: start \(2\) must be at least 0 and less than end \(1\)",
        ),
    ],
)
def test_a_malformed_csd_table_is_an_error(written, table, complaint):
    root = written("csd")
    write(root / "english/csv/en001a.csv", table)
    with pytest.raises(UserError, match=complaint):
        read("csd", root)


def test_m4singer_reads_songs_with_spaces_and_unlisted_recordings(written):
    root = written("m4singer")
    record(root / "Bass-1#南风" / "0007.wav")
    found = read("m4singer", root)
    assert found["Tenor-2#My_Love#0000"].text == "我的爱"
    assert found["Tenor-2#My_Love#0000"].audio == str(root / "Tenor-2#My-Love/0000.wav")
    assert found["Bass-1#南风#0007"].text == ""
    assert found["Bass-1#南风#0007"].speaker == "Bass-1"


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ({}, "must be a JSON list of utterances"),
        ([{"item_name": "Alto-1#a", "txt": "a"}], "entry 0 must have txt and an item_name"),
        ([{"item_name": "Alto-1#a#0000"}], "entry 0 must have txt and an item_name"),
        (["Alto-1#a#0000"], "entry 0 must have txt and an item_name"),
    ],
)
def test_a_malformed_m4singer_list_is_an_error(written, entries, complaint):
    root = written("m4singer")
    write(root / "meta.json", json.dumps(entries))
    with pytest.raises(UserError, match=complaint):
        read("m4singer", root)


def test_popbutfy_styles_have_distinct_ids_and_one_group(written):
    found = read("popbutfy", written("popbutfy"))
    sunshine = [u for u in found.values() if u.speaker == "Female1"]
    assert len({u.id for u in sunshine}) == len({u.audio for u in sunshine}) == 3
    assert {u.group for u in sunshine} == {"Female1#you_are_my_sunshine"}


def test_opensinger_reads_songs_with_underscores_and_drops_long_recordings(written, tmp_path):
    root = written("opensinger")
    record(root / "ManRaw/1_a_b/1_a_b_1.wav", tone(31))
    found = read("opensinger", root)
    assert found["Man_1_a_b_0"].group == found["Man_1_a_b_1"].group == "Man_1_a_b"
    assert found["Man_1_a_b_0"].speaker == "Man_1"
    plain = {
        "data": {
            "directory": str(tmp_path / "data"),
            "corpora": [{"type": "opensinger", "root": str(root)}],
            "limits": {"max_seconds": 30},
            "splits": {"valid": 0, "test": 0},
        },
        "audio": {"sample_rate": 8000},
        "features": {"waveform": {}},
    }
    experiment = structure(Experiment, plain)
    prepare(experiment, default_registry())
    dropped = extract(experiment, default_registry()).dropped
    assert {id: why.reason for id, why in dropped.items()} == {"Man_1_a_b_1": "too long"}


def test_an_opensinger_folder_without_a_singer_is_an_error(written):
    root = written("opensinger")
    record(root / "WomanRaw/南风/0.wav")
    with pytest.raises(UserError, match="南风 must be singer_song"):
        read("opensinger", root)


def test_nus48e_is_split_at_silences(written):
    root = written("nus48e")
    found = read("nus48e", root)
    first, second = found["JLEE_sing_15_0000"], found["JLEE_sing_15_0001"]
    assert (first.start, first.end) == pytest.approx((0.9, 2.1), abs=0.05)
    assert (second.start, second.end) == pytest.approx((2.9, 5.1), abs=0.05)
    assert {u.group for u in found.values()} == {"ADIZ#01", "JLEE#15"}
    short = read("nus48e", root, styles=["sing"], max_seconds=1.5)
    assert all(u.end - u.start <= 1.5 for u in short.values())
    assert {id.split("_")[1] for id in short} == {"sing"}


def test_a_missing_style_of_a_nus48e_singer_is_an_error(written):
    root = written("nus48e")
    for path in (root / "JLEE/sing").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"Found no utterances in .*JLEE/sing: it is empty"):
        read("nus48e", root)
    (root / "JLEE/sing").rmdir()
    with pytest.raises(UserError, match=r"JLEE has no sing: it contains read"):
        read("nus48e", root)
    assert read("nus48e", root, styles=["read"])


def test_a_silent_recording_is_not_split(written):
    root = written("opera")
    record(root / "monophonic/western/fem_09/neg_1.wav", np.zeros(8000))
    whole = read("opera", root)["western_fem_09_neg_1"]
    assert (whole.start, whole.end) == (None, None)


def test_opera_singers_with_the_same_name_in_two_folders_are_distinct(written):
    root = written("opera")
    record(root / "monophonic/western/fem_01/neg_7.wav", phrases(1))
    speakers = {u.speaker for u in read("opera", root).values()}
    assert {"western_fem_01", "chinese_fem_01"} <= speakers


def test_only_unsplit_pjs_recordings_have_texts(written):
    root = written("pjs")
    found = read("pjs", root)
    assert found["pjs004_song"].text == "あらゆる 現実を"
    assert (found["pjs004_song"].start, found["pjs004_song"].end) == (None, None)
    assert [found[f"pjs005_song_000{n}"].text for n in range(2)] == ["", ""]
    assert found["pjs005_song_0001"].start > 10
    sung = read("pjs", root, styles=["song"], max_seconds=60)
    assert list(sung) == ["pjs001_song", "pjs004_song", "pjs005_song"]


def test_golden_songs_can_be_changed_or_disabled(written):
    root = written("kising")
    assert {u.split for u in read("kising", root, golden=[]).values()} == {None}
    own = read("kising", root, golden=["422"])
    assert [id for id, u in own.items() if u.split == "golden_test"] == ["422_0001"]
    with pytest.raises(UserError, match="'42', which is not a song") as caught:
        read("kising", root, golden=["42"])
    assert "'421'" in caught.value.hint


def test_golden_songs_are_kept_by_prepare(written, tmp_path):
    root = written("kising")
    for song in range(500, 520):
        record(root / "clean" / str(song) / "0001.wav")
    table = {"type": "kising", "root": str(root)}
    splits = {"valid": 0.2, "test": 0.2, "golden_test": 0}
    data = {"directory": str(tmp_path / "data"), "corpora": [table], "splits": splits}
    prepare(structure(Experiment, {"data": data}), default_registry())
    manifest = read_manifest(tmp_path / "data/manifest.jsonl")
    golden = {u.group for u in manifest if u.split == "golden_test"}
    assert golden == {"421"}
    assert {u.split for u in manifest} == {"train", "valid", "test", "golden_test"}


def test_opencpop_keeps_its_test_songs_and_takes_validation_from_the_others(tmp_path):
    songs = [f"20{n:02d}" for n in range(1, 31)]
    lines = [f"{song}{piece:06d}|词|c i|C4" for song in songs for piece in (1, 2)]
    write(tmp_path / "segments/train.txt", "\n".join(lines))
    write(tmp_path / "segments/test.txt", "2044000001|词|c i|C4\n2086000001|词|c i|C4\n")
    (tmp_path / "segments/wavs").mkdir()
    found = list(read("opencpop", tmp_path).values())
    assigned = list(assign_splits([found], SplitsConfig(valid=0.2, test=0.5, golden_test=0)))
    assert {u.group for u in assigned if u.split == "test"} == {"2044", "2086"}
    valid = {u.group for u in assigned if u.split == "valid"}
    assert valid
    assert valid.isdisjoint({u.group for u in assigned if u.split == "train"})
    write(tmp_path / "segments/test.txt", "2044000001 小巷\n")
    with pytest.raises(UserError, match=r"test\.txt:1 is not of the form id\|text"):
        read("opencpop", tmp_path)


def chapter(root, stretches, seconds=60):
    book = root / "small/100/a_book"
    record(book / "01.flac", tone(seconds))
    return write(book / "01.json", json.dumps({"voice_activity": stretches}))


def test_librilight_joins_short_segments_and_divides_long_ones(tmp_path):
    chapter(tmp_path, [[0.5, 6], [7, 12], [13, 19], [21, 22], [25, 50], [51, 52]])
    found = read("librilight", tmp_path, max_seconds=12).values()
    third = 25 / 3
    assert [edge for u in found for edge in (u.start, u.end)] == pytest.approx(
        [0.5, 12, 13, 22, 25, 25 + third, 25 + third, 50 - third, 50 - third, 50, 51, 52]
    )
    assert {u.group for u in found} == {"100/a_book"}


def test_a_chapter_without_segments_is_one_utterance(tmp_path):
    chapter(tmp_path, []).unlink()
    (whole,) = read("librilight", tmp_path).values()
    assert (whole.start, whole.end) == (None, None)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", r"01\.json is not valid JSON"),
        ("[]", r"01\.json must have a list voice_activity"),
        ('{"voice_activity": {}}', r"01\.json must have a list voice_activity"),
        ('{"voice_activity": [[1]]}', r"has \[1\], which is not .start, end. in seconds"),
        ('{"voice_activity": [[2, 1]]}', r"has \[2, 1\], which is not .start, end. in seconds"),
    ],
)
def test_a_malformed_librilight_file_is_an_error(tmp_path, content, complaint):
    chapter(tmp_path, []).write_text(content)
    with pytest.raises(UserError, match=complaint):
        read("librilight", tmp_path)


def test_hifitts_has_two_parts_and_two_texts(written):
    root = written("hifitts")
    clean = read("hifitts", root, parts=["clean"], text="original")
    assert {u.speaker for u in clean.values()} == {"92"}
    assert {u.text for u in clean.values()} == {"Mr. Fox"}
    write(root / "92_manifest_clean_dev.json", '{"audio_filepath": "a.flac", "text": "a"}')
    with pytest.raises(UserError, match=r"dev\.json:1 must be an object with .* text_normalized"):
        read("hifitts", root)


def test_microphones_of_a_sentence_share_a_split_even_without_a_text(tmp_path):
    write(tmp_path / "txt/p1/p1_001.txt", "")
    for n in range(40):
        for microphone in ("mic1", "mic2"):
            record(tmp_path / f"wav48_silence_trimmed/p315/p315_{n:03d}_{microphone}.flac")
    found = list(read("vctk", tmp_path, microphones=["mic1", "mic2"]).values())[1:]
    assigned = list(assign_splits([found], SplitsConfig(valid=0.3, test=0.3, golden_test=0)))
    sides = {}
    for utterance in assigned:
        sides.setdefault(utterance.id.rsplit("_", 1)[0], set()).add(utterance.split)
    assert len(sides) == 40
    assert all(len(splits) == 1 for splits in sides.values())


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"type": "csd", "languages": ["japanese"]}, "languages"),
        ({"type": "nus48e", "max_seconds": 0.5}, "max_seconds"),
        ({"type": "pjs", "styles": []}, "styles"),
        ({"type": "popcs", "weight": 0}, "weight"),
    ],
)
def test_invalid_tables_are_errors(fields, complaint):
    with pytest.raises(ConfigError, match=complaint):
        structure(Experiment, {"data": {"corpora": [{"root": "x", **fields}]}})
