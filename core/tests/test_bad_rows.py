"""Rows of a corpus's list that hold no utterance: named, counted, left out."""

from __future__ import annotations

import json
import os

import pytest
from click.testing import CliRunner

from allophone.cli.prepare import command
from allophone.config import Experiment, read_toml, structure
from allophone.errors import UserError
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.registry import default_registry
from allophone_testing.corpus import write_corpus


def experiment(directory, *corpora):
    return structure(Experiment, {"data": {"directory": str(directory), "corpora": list(corpora)}})


def table(root):
    return {"type": "table", "root": str(root)}


def test_bad_rows_are_counted_named_and_left_out(tmp_path):
    write_corpus(tmp_path / "recordings", utterances=6)
    rows = (tmp_path / "recordings" / "metadata.csv").read_text()
    bad = [
        "one cell",
        "a|b|c",
        f"{'x' * 300}|long",
        "nul\0.wav|Text",
        "",
        "|no name",
        "pipe|Pipe",
        ".|.",
    ]
    (tmp_path / "recordings" / "metadata.csv").write_text("\n".join([rows, *bad, ""]))
    os.mkfifo(tmp_path / "recordings" / "pipe")
    config = tmp_path / "experiment.toml"
    config.write_text(
        f'[data]\ndirectory = "{tmp_path}/data"\n'
        f'[[data.corpora]]\ntype = "table"\nroot = "{tmp_path}/recordings"\n'
        "[features.waveform]\n"
    )
    result = CliRunner().invoke(command, [str(config)])
    assert result.exit_code == 0, result.output
    assert "table: 5 of 13 rows hold no utterance and are left out" in result.stderr
    assert "metadata.csv:8 has 1 column; expected 2: audio|text" in result.stderr
    assert "2 of 8 recordings are missing (pipe, .)" in result.stderr
    named = [
        json.loads(line) for line in (tmp_path / "data/bad-rows.jsonl").read_text().splitlines()
    ]
    assert [row["id"].rpartition(":")[2] for row in named] == ["8", "9", "10", "11", "13"]
    extracted = extract(structure(Experiment, read_toml(config)), default_registry())
    assert extracted.usable == 6
    assert {id: why.detail for id, why in extracted.dropped.items()} == {
        "pipe": f"{tmp_path}/recordings/pipe is a named pipe; expected a file",
        ".": f"{tmp_path}/recordings is a folder; expected a file",
    }


def test_a_table_of_bad_rows_alone_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "metadata.csv").write_text("a;b\nc;d\n")
    with pytest.raises(UserError, match="None of 2 rows .*csv:1 has 1 column") as caught:
        prepare(experiment(tmp_path / "data", table(tmp_path)), default_registry())
    assert "Set columns and delimiter" in caught.value.hint


def test_an_id_that_is_too_long_with_its_corpus_is_named(tmp_path):
    for name in ("one", "two"):
        write_corpus(tmp_path / name, utterances=3)
    long = "x" * 199
    with (tmp_path / "one" / "metadata.csv").open("a") as file:
        file.write(f"{long}|Text\n")
    prepared = prepare(
        experiment(tmp_path / "data", table(tmp_path / "one"), table(tmp_path / "two")),
        default_registry(),
    )
    (bad,) = prepared.corpora["table1"].bad_rows
    assert (bad.where, "has 206 bytes" in bad.message) == (long, True)
