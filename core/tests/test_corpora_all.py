"""All readers of corpora that are downloaded, each on a tree of its true layout, whole and damaged."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from attrs import evolve, fields_dict
from click.testing import CliRunner
from corpus_trees import TREES, write

from allophone.cli.prepare import command
from allophone.config import Experiment, structure
from allophone.config.experiment import SplitsConfig
from allophone.data.manifest import read_manifest
from allophone.errors import UserError
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.preparation.splits import assign_splits
from allophone.registry import default_registry

each = pytest.mark.parametrize("name", TREES)


@pytest.fixture
def planted(tmp_path, name):
    root = tmp_path / "corpus"
    root.mkdir()
    TREES[name].plant(root)
    return root


def read(name, root, **fields):
    table = {"type": name, "root": str(root), **TREES[name].table, **fields}
    (config,) = structure(Experiment, {"data": {"corpora": [table]}}).data.corpora
    return list(default_registry().load("corpora", name, "reader")(config))


def experiment(name, root, **data):
    table = {"type": name, "root": str(root), **TREES[name].table}
    splits = {"valid": 0, "test": 0, "golden_test": 0}
    return structure(
        Experiment,
        {
            "data": {"directory": str(root.parent / "data"), "corpora": [table], "splits": splits}
            | data,
            "audio": {"sample_rate": 8000},
            "features": {"waveform": {}},
        },
    )


def prepared(name, root, **data):
    """The manifest, what `prepare` says of it, and what extraction left out."""
    whole = experiment(name, root, **data)
    said = prepare(whole, default_registry())
    extracted = extract(whole, default_registry())
    return read_manifest(said.manifest), said, extracted.dropped


def test_the_trees_are_of_all_readers_of_downloads():
    assert {*TREES, *OWN} == set(default_registry().entries("corpora"))


@each
def test_a_true_tree_is_read(name, planted):
    found = read(name, planted)
    expected = TREES[name].utterances
    assert len({u.id for u in found}) == len(found)
    assert {u.id: (u.speaker, u.text, u.split) for u in found} == expected
    assert {u.language for u in found} == TREES[name].languages
    assert all(Path(u.audio).is_file() for u in found)
    told = {u.language for u in read(name, planted, language="la")}
    assert told == {"la"}


@each
def test_a_true_tree_is_extracted_whole(name, planted):
    manifest, said, dropped = prepared(name, planted)
    assert dropped == {}
    assert {u.id for u in manifest} == set(TREES[name].utterances)
    assert said.corpora[name].missing == ()
    for utterance in manifest:
        split = TREES[name].utterances[utterance.id][2]
        assert utterance.split == (split or "train")


@each
def test_the_order_of_a_disk_is_no_order(name, planted, monkeypatch):
    expected = read(name, planted)
    iterdir, glob = Path.iterdir, Path.glob
    monkeypatch.setattr(Path, "iterdir", lambda path: iter(sorted(iterdir(path), reverse=True)))
    monkeypatch.setattr(
        Path, "glob", lambda path, pattern: iter(sorted(glob(path, pattern), reverse=True))
    )
    assert read(name, planted) == expected


@each
def test_what_belongs_together_is_on_one_side_of_the_splits(name, planted):
    """Whatever the seed: the microphones of a sentence, the keys, takes and parts of a song."""
    songs = {"golden": []} if set(TREES[name].utterances_by_split("golden_test")) else {}
    found = read(name, planted, **songs)
    assert {u.split for u in found} <= {None, "train", "valid", "test"}
    for seed in range(6):
        config = SplitsConfig(valid=1, test=0, golden_test=0, seed=seed)
        assigned = assign_splits([found], config)
        assert "valid" in {u.split for u in assigned}
        for utterance in assigned:
            alike = {u.split for u in assigned if u.group == utterance.group}
            assert utterance.group is None or len(alike) == 1
        published = {u.id: u.split for u in found if u.split}
        assert published.items() <= {u.id: u.split for u in assigned}.items()
    without = {"ljspeech", "libritts", "hifitts"}
    assert all((u.group is None) == (name in without) for u in found)


@each
def test_a_wrong_root_says_what_is_there_instead(name, tmp_path):
    (tmp_path / "something-else").mkdir()
    with pytest.raises(UserError, match="something-else"):
        read(name, tmp_path)
    with pytest.raises(UserError, match=r"There is no folder .*nowhere"):
        read(name, tmp_path / "nowhere")


@each
def test_a_missing_folder_is_named(name, planted):
    path = planted / TREES[name].needed
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UserError, match=rf"has no .*{path.name}: it "):
        read(name, planted)


@each
def test_a_folder_without_recordings_is_an_error(name, planted):
    for path in planted.rglob("*"):
        if path.is_file() and path.suffix in (".wav", ".flac", ".mp3"):
            path.unlink()
    with pytest.raises(UserError, match=r"There is nothing to read in|no recordings|are missing"):
        prepare(experiment(name, planted), default_registry())


@pytest.mark.parametrize("name", [name for name, tree in TREES.items() if tree.listed])
def test_an_empty_list_is_named(name, planted):
    write(planted / TREES[name].listed, "")
    with pytest.raises(UserError, match=rf"{Path(TREES[name].listed).name}.*is (empty|no JSON)"):
        read(name, planted)


@each
@pytest.mark.parametrize("content", [b"", b"this is no recording, whatever its name says"])
def test_a_broken_recording_is_dropped_by_its_name(name, planted, content):
    (planted / TREES[name].recording).write_bytes(content)
    _, _, dropped = prepared(name, planted)
    assert dropped[TREES[name].heard].reason == "unreadable audio"
    lost = {u.id for u in read(name, planted) if u.audio == str(planted / TREES[name].recording)}
    assert set(dropped) == lost


@each
def test_an_id_that_is_there_twice_is_an_error_that_names_both(name, planted):
    TREES[name].double(planted)
    with pytest.raises(UserError, match=r"Two utterances are called '.*': /.* and /"):
        prepare(experiment(name, planted), default_registry())


SILENT = {"libritts", "kising", "opera", "popbutfy"}
"""Nothing in these but a recording itself tells that it should be there."""


@pytest.mark.parametrize("name", sorted(TREES.keys() - SILENT))
def test_a_missing_recording_is_counted_by_its_name(name, planted):
    (planted / TREES[name].recording).unlink()
    _, said, dropped = prepared(name, planted)
    # Of VCTK's sentences one microphone is enough.
    lost = set() if name == "vctk" else {TREES[name].heard}
    assert lost <= set(said.corpora[name].missing) == set(dropped)
    assert {why.reason for why in dropped.values()} <= {"missing recording"}


@each
def test_the_command_prepares_it(name, planted, tmp_path):
    extra = "\n".join(f"{key} = {value}" for key, value in TREES[name].table.items())
    config = write(
        tmp_path / "e.toml",
        f'[data]\ndirectory = "{tmp_path / "data"}"\n[data.splits]\nvalid = 0\ntest = 0\n'
        f'[[data.corpora]]\ntype = "{name}"\nroot = "nowhere"\n{extra}\n',
    )
    result = CliRunner().invoke(command, [str(config), "--root", str(planted)])
    assert result.exit_code == 0, result.output
    found = read_manifest(tmp_path / "data" / "manifest.jsonl")
    assert len(found) == len(TREES[name].utterances)
    assert {u.corpus for u in found} == {name}


@each
def test_two_of_a_corpus_are_kept_apart(name, planted, tmp_path):
    whole = experiment(name, planted)
    twice = evolve(whole, data=evolve(whole.data, corpora=whole.data.corpora * 2))
    prepare(twice, default_registry())
    manifest = read_manifest(tmp_path / "data" / "manifest.jsonl")
    assert len({u.id for u in manifest}) == 2 * len(TREES[name].utterances)
    speakers = {u.speaker for u in manifest}
    assert len(speakers) == 2 * len({speaker for speaker, _, _ in TREES[name].utterances.values()})


OWN = ("festvox", "asterisk", "table")
PAGE = Path(__file__).parents[2] / "docs" / "corpora.md"


@pytest.mark.parametrize("name", [*TREES, *OWN])
def test_each_reader_is_documented(name):
    page = PAGE.read_text("utf-8")
    assert f"[`{name}`](#{name})" in page
    note = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", page, re.DOTALL | re.MULTILINE)[1]
    assert re.search(r"licence|CC\s+BY|Public\s+domain", note)
    assert re.search(r"[Ss]plit", note)
    config = default_registry().load("corpora", name, "config")
    if name != "table":
        common = {"root", "language", "weight", "golden"}
        for option in fields_dict(config).keys() - common:
            assert f"`{option}`" in note, f"{option} can be set, and the page does not say so"


@each
def test_the_layout_that_is_documented_is_that_of_the_tree(name, planted):
    """Whatever the page shows without "..." in it is in the tree, but for the numbers in its name."""
    note = PAGE.read_text("utf-8").split(f"\n### {name}\n")[1].split("\n###")[0]
    shown = [line.split()[0] for line in re.findall(r"^    (\S.*)$", note, re.MULTILINE)]
    there = {re.sub(r"\d+", "0", str(p.relative_to(planted))) for p in planted.rglob("*")}
    for place in shown:
        assert place.endswith("...") or re.sub(r"\d+", "0", place.rstrip("/")) in there
