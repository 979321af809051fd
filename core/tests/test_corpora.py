"""The corpus reader `table`: a table or a JSONL file."""

from __future__ import annotations

import json
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


def test_a_table_with_the_wrong_number_of_columns_is_reported(tmp_path):
    write(tmp_path / "metadata.csv", "one.wav|One\ntwo.wav|Two|Bob\n")
    with pytest.raises(UserError, match=r"metadata\.csv:2 has 3 columns; expected 2"):
        list(table.read(TableConfig(root=str(tmp_path))))


def test_a_time_that_is_not_a_number_is_reported(tmp_path):
    write(tmp_path / "metadata.csv", "one.wav|One|soon\n")
    config = TableConfig(root=str(tmp_path), columns=("audio", "text", "start"))
    with pytest.raises(
        UserError, match=r"metadata\.csv:1: start must be a number of seconds, not 'soon'"
    ):
        list(table.read(config))


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
    ],
)
def test_a_broken_json_line_is_reported(tmp_path, line, message):
    write(tmp_path / "list.jsonl", '{"audio": "b.wav", "text": "B"}\n' + line + "\n")
    with pytest.raises(UserError, match=rf"list\.jsonl:2.*{message}"):
        list(table.read(TableConfig(root=str(tmp_path), file="list.jsonl")))


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
