"""Label files in a separate folder, `data.labels`, are found by `prepare`."""

from __future__ import annotations

import pytest
from attrs import evolve
from click.testing import CliRunner

from allophone.cli.prepare import command
from allophone.config import Experiment, structure
from allophone.data.manifest import read_manifest
from allophone.errors import UserError
from allophone.preparation.prepare import prepare
from allophone.registry import default_registry
from allophone_testing.corpus import write_corpus


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
    (aligned / "utterance-000.TextGrid").write_text("of this speaker")
    (aligned / "speaker-1" / "utterance-001.TextGrid").write_text("of this speaker")
    (aligned / "speaker-1" / "utterance-002.TextGrid").write_text("of the other speaker")
    prepared = prepare(experiment(folders), default_registry())
    assert set(prepared.unlabelled) == {f"utterance-00{n}" for n in (2, 3, 4, 5)}
    found = {u.id: u.labels for u in read_manifest(prepared.manifest)}
    assert found["utterance-000"] == str(aligned / "utterance-000.TextGrid")
    assert found["utterance-001"] == str(aligned / "speaker-1" / "utterance-001.TextGrid")
    assert found["utterance-002"] is None


def test_prepare_reports_utterances_without_labels(folders):
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
    with pytest.raises(UserError, match="no label file for any of 6 utterances") as refused:
        prepare(experiment(folders), default_registry())
    assert "utterance-000.TextGrid" in str(refused.value)
    with pytest.raises(UserError, match="elsewhere is not a folder"):
        prepare(experiment(folders, labels="elsewhere"), default_registry())


def test_labels_replace_those_of_the_corpus(folders):
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
