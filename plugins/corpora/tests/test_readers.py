"""All readers on small folders in the real layouts, and the README's notes on them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from attrs import fields_dict
from song_trees import SONGS
from speech_trees import SPEECH

from allophone.config import Experiment, structure
from allophone.config.experiment import SplitsConfig
from allophone.data.manifest import read_manifest
from allophone.errors import UserError
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.preparation.splits import assign_splits
from allophone.registry import default_registry

TREES = SPEECH | SONGS

each = pytest.mark.parametrize("name", TREES)


@pytest.fixture
def root(tmp_path, name):
    root = tmp_path / "corpus"
    root.mkdir()
    TREES[name].write(root)
    return root


def experiment(name, root, **options):
    table = {"type": name, "root": str(root), **TREES[name].options, **options}
    splits = {"valid": 0, "test": 0, "golden_test": 0}
    return structure(
        Experiment,
        {
            "data": {
                "directory": str(root.parent / "data"),
                "corpora": [table],
                "splits": splits,
            },
            "audio": {"sample_rate": 8000},
            "features": {"waveform": {}},
        },
    )


def read(name, root, **options):
    (config,) = experiment(name, root, **options).data.corpora
    return list(default_registry().load("corpora", name, "reader")(config))


def dropped(name, root):
    """The manifest, and the utterances that extraction drops."""
    whole = experiment(name, root)
    manifest = prepare(whole, default_registry()).manifest
    return read_manifest(manifest), extract(whole, default_registry()).dropped


@each
def test_speakers_splits_and_languages(name, root):
    found = read(name, root)
    expected = TREES[name].utterances
    assert {u.id: (u.speaker, u.text, u.split) for u in found} == expected
    assert {u.language for u in found} == TREES[name].languages
    told = {u.language for u in read(name, root, language="la")}
    assert told == {"la"}


@each
def test_an_intact_corpus_is_extracted_completely(name, root):
    manifest, lost = dropped(name, root)
    assert lost == {}
    assert {u.id for u in manifest} == set(TREES[name].utterances)
    for utterance in manifest:
        split = TREES[name].utterances[utterance.id][2]
        assert utterance.split == (split or "train")


@each
@pytest.mark.parametrize("content", [b"", b"this is not a recording, whatever its name says"])
def test_a_corrupt_recording_is_dropped_and_listed(name, root, content):
    path = root / TREES[name].recording
    path.write_bytes(content)
    _, lost = dropped(name, root)
    assert {why.reason for why in lost.values()} == {"unreadable audio"}
    assert set(lost) == {u.id for u in read(name, root) if u.audio == str(path)}


@each
def test_groups_are_in_one_split(name, root):
    """For any seed: microphones of a sentence; keys, takes and parts of a song."""
    songs = {"golden": []} if "golden_test" in {u.split for u in read(name, root)} else {}
    found = read(name, root, **songs)
    assert {u.split for u in found} <= {None, "train", "valid", "test"}
    for seed in range(6):
        config = SplitsConfig(valid=1, test=0, golden_test=0, seed=seed)
        assigned = list(assign_splits([found], config))
        assert "valid" in {u.split for u in assigned}
        for utterance in assigned:
            alike = {u.split for u in assigned if u.group == utterance.group}
            assert utterance.group is None or len(alike) == 1
        published = {u.id: u.split for u in found if u.split}
        assert published.items() <= {u.id: u.split for u in assigned}.items()
    without = {"ljspeech", "libritts", "hifitts", "festvox", "asterisk"}
    assert all((u.group is None) == (name in without) for u in found)


@each
def test_a_duplicate_id_is_an_error(name, root):
    TREES[name].double(root)
    with pytest.raises(UserError, match=r"Two utterances have the id '.*': /.* and /"):
        prepare(experiment(name, root), default_registry())


PAGE = Path(__file__).parents[1] / "README.md"


@each
def test_each_reader_is_documented(name):
    page = PAGE.read_text("utf-8")
    assert f"[`{name}`](#{name})" in page
    note = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", page, re.DOTALL | re.MULTILINE)[1]
    assert re.search(r"licence|CC\s+BY|Public\s+domain", note)
    assert re.search(r"[Ss]plit", note)
    common = {"root", "language", "weight", "golden"}
    for option in fields_dict(default_registry().load("corpora", name, "config")).keys() - common:
        assert f"`{option}`" in note, f"{option} can be set, and the page does not say so"


@each
def test_the_documented_layout_is_that_of_the_test_corpus(name, root):
    """Whatever the page shows without "..." in it is in the tree, but for the numbers in its name."""
    note = PAGE.read_text("utf-8").split(f"\n### {name}\n")[1].split("\n##")[0]
    shown = [line.split()[0] for line in re.findall(r"^    (\S.*)$", note, re.MULTILINE)]
    there = {re.sub(r"\d+", "0", str(p.relative_to(root))) for p in root.rglob("*")}
    assert shown
    for place in shown:
        assert place.endswith("...") or re.sub(r"\d+", "0", place.rstrip("/")) in there
