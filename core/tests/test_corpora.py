"""The corpus reader `table`: a table or a JSONL file."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from allophone.config import structure
from allophone.corpora import table
from allophone.corpora.config import TableConfig
from allophone.errors import ConfigError, UserError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_wrong_root_lists_its_contents(tmp_path):
    (tmp_path / "something-else").mkdir()
    with pytest.raises(UserError, match=r"has no metadata\.csv: it contains something-else\."):
        list(table.read(TableConfig(root=str(tmp_path))))
    with pytest.raises(UserError, match="is not a folder"):
        list(table.read(TableConfig(root=str(tmp_path / "nowhere"))))


def test_a_table(tmp_path):
    write(tmp_path / "list.tsv", 'a/one\tIt\'s "one".\t-\tAnn\t1.5\t2\nb\tTwo\tx\t\t\t\n')
    config = TableConfig(
        root=str(tmp_path),
        file="list.tsv",
        delimiter="\t",
        columns=("audio", "text", "-", "speaker", "start", "end"),
        audio="wavs/{}.wav",
        speaker="Eve",
        language="en",
    )
    first, second = table.read(config)
    assert (first.id, first.text, first.speaker) == ("a_one", 'It\'s "one".', "Ann")
    assert (first.start, first.end, first.language) == (1.5, 2.0, "en")
    assert first.audio == str(tmp_path / "wavs/a/one.wav")
    assert (second.speaker, second.start) == ("Eve", None)


def test_a_comma_table_supports_quotes(tmp_path):
    write(tmp_path / "metadata.csv", 'one.wav,"Yes, ""one"""\n')
    (only,) = table.read(TableConfig(root=str(tmp_path), delimiter=","))
    assert (only.id, only.text) == ("one", 'Yes, "one"')


def test_a_row_with_other_columns_is_named_and_the_others_are_read(tmp_path):
    write(tmp_path / "metadata.csv", "one.wav|One\ntwo.wav|Two|Bob\nthree.wav|Three\n")
    first, bad, third = table.read(TableConfig(root=str(tmp_path)))
    assert (first.id, third.id) == ("one", "three")
    assert bad.where == f"{tmp_path}/metadata.csv:2"
    assert "metadata.csv:2 has 3 columns; expected 2: audio|text" in bad.message
    assert "Set columns and delimiter" in bad.hint


@pytest.mark.parametrize("time", ["soon", "nan", "inf", "-inf", "1e999", "1,5"])
def test_a_time_that_is_no_number_is_named(tmp_path, time):
    write(tmp_path / "metadata.csv", f"one.wav|One|{time}\n")
    config = TableConfig(root=str(tmp_path), columns=("audio", "text", "start"))
    (bad,) = table.read(config)
    assert bad.message.endswith(f"csv:1: start must be a number of seconds, not '{time}'.")


@pytest.mark.parametrize(
    ("pattern", "name", "id"),
    [
        ("{}", "rec.00", "rec.00"),
        ("{}", "rec.01.WAV", "rec.01"),
        ("{}", "v1.2/take.a", "v1.2_take.a"),
        ("{}", "a.b.flac", "a.b"),
        ("{}", "one two.wav", "one_two"),
        ("{}", "/data/a.wav", "_data_a"),
        ("{}.wav", "rec.00", "rec.00"),
        ("wavs/{}.flac", "x.wav", "x.wav"),
    ],
)
def test_the_id_is_the_whole_name_without_the_ending_of_a_recording(tmp_path, pattern, name, id):
    write(tmp_path / "metadata.csv", f"{name}|One\n")
    (only,) = table.read(TableConfig(root=str(tmp_path), audio=pattern))
    assert only.id == id


@pytest.mark.parametrize(
    ("delimiter", "row", "complaint"),
    [
        ("|", "b.wav|Two\rlines", "has a carriage return inside the row"),
        (",", "b.wav,Two\rlines", "has a carriage return inside the row"),
        (",", 'b.wav,"Never closed', "has a quotation mark at the start of a cell that nothing"),
        (",", 'b.wav,"He said "yes""', "has text after the closing quotation mark"),
        ("|", "b\0.wav|NUL", "has a NUL character"),
        ("|", "b.wav|NUL \0 in it", "text has a NUL character"),
        ("|", f"{'x' * 300}.wav|long", "has 300 bytes; expected at most 200"),
        ("|", f"{'ü' * 101}.wav|long", "has 202 bytes; expected at most 200"),
        ("|", f"b.wav|{'x' * 100_001}", "has 100,007 characters; expected at most 100,000"),
        ("|", "sub\\b.wav|folder", r"names the recording 'sub\\\\b.wav', which is not there"),
        ("|", "|no recording", "audio is missing"),
    ],
)
def test_one_bad_row_is_named_and_stops_nothing(tmp_path, delimiter, row, complaint):
    good = [f"{name}.wav{delimiter}Good" for name in "ac"]
    path = tmp_path / "metadata.csv"
    path.write_text(f"{good[0]}\n{row}\n{good[1]}\n", encoding="utf-8", newline="")
    first, bad, last = table.read(TableConfig(root=str(tmp_path), delimiter=delimiter))
    assert (first.id, last.id) == ("a", "c")
    assert re.search(rf"metadata\.csv:2.*{complaint}", bad.message)
    assert len(bad.message) < 400


def test_a_backslash_in_the_name_of_a_file_that_is_there_is_kept(tmp_path):
    write(tmp_path / "sub\\a.wav", "")
    write(tmp_path / "metadata.csv", "sub\\a.wav|One\n")
    (only,) = table.read(TableConfig(root=str(tmp_path)))
    assert (only.id, only.audio) == ("sub_a", str(tmp_path / "sub\\a.wav"))


def test_a_quoted_cell_may_run_over_lines(tmp_path):
    text = 'a.wav,"Two\r\nlines, ""one"" cell"\nb.wav,"Open\nc.wav,Three\nd.wav,"Four"\n'
    (tmp_path / "metadata.csv").write_text(text, newline="")
    first, bad, *others = table.read(TableConfig(root=str(tmp_path), delimiter=","))
    assert first.text == 'Two lines, "one" cell'
    assert bad.message.endswith(
        ":3 has a quotation mark at the start of a cell that nothing closes."
    )
    assert [(u.id, u.text) for u in others] == [("c", "Three"), ("d", "Four")]


def test_a_list_that_is_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "metadata.csv")
    with pytest.raises(UserError, match=r"metadata\.csv is a named pipe; expected a file"):
        list(table.read(TableConfig(root=str(tmp_path))))


def test_a_jsonl_file(tmp_path):
    row = {"audio": "one.wav", "text": "One", "split": "test", "end": 2, "duration": 3.5}
    write(tmp_path / "list.jsonl", json.dumps(row) + "\n")
    config = TableConfig(root=str(tmp_path), file="list.jsonl", ignore=("duration",))
    (only,) = table.read(config)
    assert (only.id, only.split, only.end) == ("one", "test", 2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"audio": "a.wav", "text": "A"', "is not valid JSON"),
        ('["a.wav"]', "is not a JSON object"),
        ('{"audio": "a.wav", "text": "A", "speker": "x"}', "'speker'.*Did you mean 'speaker'"),
        ('{"text": "A"}', "audio is missing"),
        ('{"audio": "a.wav", "text": "A", "split": "dev"}', "not a valid utterance"),
        (
            '{"audio": "a.wav", "text": "A", "start": 2, "end": 1}',
            "start .2. must be at least 0 and less than end .1.",
        ),
        ('{"audio": "a.wav", "text": "A", "start": NaN}', "start must be a finite number .* nan"),
        ('{"audio": "a.wav", "text": "A", "end": 1e999}', "end must be a finite number .* inf"),
        ('{"audio": "a.wav", "text": "A", "start": true}', "start must be a finite number .* True"),
        (r'{"audio": "a.wav", "text": "\ud800"}', "text has an unpaired surrogate"),
        (r'{"audio": "\udc80.wav", "text": "A"}', "has an unpaired surrogate"),
        ('{"audio": "a.wav", "text": 5}', "text must be a string, not 5"),
        ('{"audio": "a.wav", "text": "A", "id": 7}', "id must be a string, not 7"),
        ('{"audio": "a.wav", "text": "A", "speaker": ["x"]}', "speaker must be a string"),
        ("[" * 50_000, "is nested too deep"),
        ('{"start": ' + "9" * 5000 + "}", "is not valid JSON"),
        ('{"' + "k" * 90_000 + '": 1}', "has an unknown key 'kkk"),
    ],
)
def test_a_broken_json_line_is_named(tmp_path, line, message):
    good = [f'{{"audio": "{name}.wav", "text": ""}}' for name in "bc"]
    write(tmp_path / "list.jsonl", f"{good[0]}\n{line}\n{good[1]}\n")
    first, bad, last = table.read(TableConfig(root=str(tmp_path), file="list.jsonl"))
    assert (first.id, last.id) == ("b", "c")
    assert re.search(rf"list\.jsonl:2.*{message}", bad.message)
    assert len(bad.message) < 400
    assert "<class" not in bad.message


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["audio", "text", "speekr"], "unknown column 'speekr'"),
        (["audio", "text", "text"], "names a column twice"),
        (["audio", "speaker"], "must name 'audio' and 'text'"),
    ],
)
def test_columns_are_checked(columns, message):
    with pytest.raises(ConfigError, match=message):
        structure(TableConfig, {"root": "x", "columns": columns})


@pytest.mark.parametrize("pattern", ["wavs", "{}{}", "{name}.wav", "{", "{0}"])
def test_a_wrong_audio_pattern_is_explained(pattern):
    with pytest.raises(ConfigError) as caught:
        structure(TableConfig, {"root": "x", "audio": pattern})
    message = str(caught.value)
    assert "audio must hold {} once" in message
    assert repr(pattern) in message
    assert "Attribute" not in message
