"""Manifests, splits, and `allophone prepare`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from types import ModuleType

import pytest
from attrs import evolve
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from allophone.cli.prepare import command
from allophone.config import Experiment, structure
from allophone.config.experiment import SplitsConfig
from allophone.data.manifest import Utterance, read_manifest, write_manifest
from allophone.entries import CorpusEntry
from allophone.errors import PluginError, UserError
from allophone.hookspecs import hookimpl
from allophone.preparation.prepare import prepare
from allophone.preparation.splits import assign_splits
from allophone.registry import build_registry, default_registry
from allophone_testing.corpus import write_corpus


def utterances(count, **fields):
    return [Utterance(id=f"u{n:04d}", audio="x", text=f"text {n}", **fields) for n in range(count)]


def splits(assigned):
    return {utterance.id: utterance.split for utterance in assigned}


def test_a_manifest_reads_back_equal(tmp_path):
    written = [
        Utterance(id="a", audio="a.wav", text='Grün "ist"\u2028alles'),
        Utterance(
            id="b",
            audio="b.wav",
            text="",
            speaker="p1",
            language="de",
            start=0.5,
            end=2,
            labels="b.lab",
            split="golden_test",
        ),
    ]
    write_manifest(tmp_path / "manifest.jsonl", written)
    assert read_manifest(tmp_path / "manifest.jsonl") == tuple(written)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "b", "audio": "b.wav", "te', "manifest.jsonl:2 is not valid JSON"),
        ("[]", "manifest.jsonl:2 is not a JSON object"),
        ('{"id": "b", "audio": "b.wav"}', "manifest.jsonl:2 lacks text"),
        ('{"id": "b", "audio": "b", "text": "", "lang": "de"}', ":2 has an unknown field 'lang'"),
        ('{"id": "b/c", "audio": "b", "text": ""}', ":2 is not a valid utterance"),
        ('{"id": "b", "audio": "b", "text": 3}', ":2 is not a valid utterance"),
        ('{"id": "a", "audio": "b.wav", "text": ""}', "have the id 'a': a.wav and b.wav"),
    ],
)
def test_a_broken_line_of_a_manifest_is_reported(tmp_path, line, message):
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"id": "a", "audio": "a.wav", "text": "A"}\n' + line + "\n")
    with pytest.raises(UserError, match=message):
        read_manifest(path)


def test_duplicate_ids_are_refused_before_writing(tmp_path):
    path = tmp_path / "manifest.jsonl"
    write_manifest(path, utterances(2))
    with pytest.raises(UserError, match="have the id 'u0000'"):
        write_manifest(path, utterances(1) + utterances(1))
    assert len(read_manifest(path)) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["manifest.jsonl"]


def test_fractions_are_approximate():
    counted = Counter(
        splits(
            assign_splits([utterances(2000)], SplitsConfig(valid=0.1, test=0.05, golden_test=5))
        ).values()
    )
    assert 150 < counted["valid"] < 250
    assert 65 < counted["test"] + counted["golden_test"] < 135
    assert counted["golden_test"] == 5


def test_counts_are_exact():
    config = SplitsConfig(valid=7, test=11, golden_test=0)
    counted = Counter(splits(assign_splits([utterances(100)], config)).values())
    assert counted == {"train": 82, "valid": 7, "test": 11}


@given(order=st.permutations(range(40)), seed=st.integers(0, 5))
def test_splits_depend_only_on_id_and_seed(order, seed):
    config = SplitsConfig(valid=0.2, test=0.2, seed=seed)
    items = utterances(40)
    assert splits(assign_splits([items], config)) == splits(
        assign_splits([[items[index] for index in order]], config)
    )


def test_another_seed_gives_other_splits():
    first, second = (
        splits(assign_splits([utterances(200)], SplitsConfig(valid=0.2, seed=seed)))
        for seed in (0, 1)
    )
    assert first != second


def test_splits_are_stable_when_the_corpus_grows():
    config = SplitsConfig(valid=0.2, test=0.2, golden_test=0)
    small = splits(assign_splits([utterances(100)], config))
    large = splits(assign_splits([utterances(150)], config))
    assert {id: large[id] for id in small} == small


def test_a_larger_test_split_does_not_change_validation():
    small, large = (
        splits(assign_splits([utterances(200)], SplitsConfig(test=test))) for test in (0.1, 0.3)
    )
    assert {id for id, split in small.items() if split == "valid"} == {
        id for id, split in large.items() if split == "valid"
    }


def test_two_microphones_of_one_sentence_stay_together():
    items = [
        Utterance(id=f"{n}_{mic}", audio="x", text=f"Sentence {n}", speaker="p1")
        for n in range(200)
        for mic in ("mic1", "mic2")
    ]
    assigned = splits(assign_splits([items], SplitsConfig(valid=0.3, test=0.3, golden_test=0)))
    assert len(set(assigned.values())) == 3
    for n in range(200):
        assert assigned[f"{n}_mic1"] == assigned[f"{n}_mic2"]


def test_the_same_text_of_two_speakers_need_not_stay_together():
    items = [
        Utterance(id=f"{n}", audio="x", text="Please call Stella.", speaker=f"p{n}")
        for n in range(100)
    ]
    assigned = list(assign_splits([items], SplitsConfig(valid=0.3, test=0)))
    assert {utterance.split for utterance in assigned} == {"train", "valid"}


def test_a_group_stays_together_whatever_its_texts():
    items = [
        Utterance(id=f"{song}_{n}", audio="x", text=f"line {n}", speaker="p1", group=f"song {song}")
        for song in range(60)
        for n in range(5)
    ]
    assigned = splits(assign_splits([items], SplitsConfig(valid=0.3, test=0.3, golden_test=0)))
    assert set(assigned.values()) == {"train", "valid", "test"}
    for song in range(60):
        assert len({assigned[f"{song}_{n}"] for n in range(5)}) == 1


def test_nothing_is_added_to_a_published_test_split():
    theirs = [
        *(evolve(u, id=f"t{u.id}", split="test") for u in utterances(5)),
        *utterances(100),
    ]
    ours = [evolve(u, id=f"o{u.id}", speaker="o") for u in utterances(100)]
    config = SplitsConfig(valid=0.2, test=0.2, golden_test=0)
    assigned = list(assign_splits([theirs, ours], config))
    of_theirs = {u.id for u in assigned if u.split == "test" and not u.id.startswith("o")}
    assert of_theirs == {u.id for u in theirs[:5]}
    assert Counter(u.split for u in assigned[5:105])["valid"] > 10
    assert Counter(u.split for u in assigned[105:])["test"] > 10


@given(valid=st.integers(1, 6), test=st.integers(1, 6), seed=st.integers(0, 20))
def test_splits_are_disjoint_if_only_some_corpora_publish_them(valid, test, seed):
    theirs = [Utterance(id="t", audio="x", text="theirs", split="valid"), *utterances(10)]
    ours = [evolve(u, id=f"o{u.id}", speaker="o") for u in utterances(8)]
    config = SplitsConfig(valid=valid, test=test, golden_test=0, seed=seed)
    counted = Counter(u.split for u in assign_splits([theirs, ours], config))
    assert counted == {"train": 18 - valid - test, "valid": valid + 1, "test": test}


def test_published_splits_are_kept():
    items = [
        *(evolve(u, split="valid") for u in utterances(5)),
        *(evolve(u, id=f"t{u.id}", split="train") for u in utterances(50)),
    ]
    assigned = list(assign_splits([items], SplitsConfig(valid=0.9, test=0.0)))
    assert [u.split for u in assigned] == [u.split for u in items]


def test_a_small_corpus_has_one_utterance_in_each_split():
    assigned = splits(assign_splits([utterances(10)], SplitsConfig(valid=0.001, test=0.001)))
    assert Counter(assigned.values()) == {"train": 8, "valid": 1, "test": 1}


def test_golden_utterances_can_be_named():
    config = SplitsConfig(golden_test=("u0003", "u0017"))
    assigned = splits(assign_splits([utterances(50)], config))
    assert {id for id, split in assigned.items() if split == "golden_test"} == {"u0003", "u0017"}
    with pytest.raises(UserError, match="'U0003', but there is no such utterance") as caught:
        assign_splits([utterances(50)], SplitsConfig(golden_test=("U0003",)))
    assert "u0003" in caught.value.hint


def experiment(directory, *corpora):
    return structure(Experiment, {"data": {"directory": str(directory), "corpora": list(corpora)}})


def table(root, **fields):
    return {"type": "table", "root": str(root), **fields}


def test_prepare_writes_a_manifest(tmp_path):
    write_corpus(tmp_path / "recordings", utterances=20)
    prepared = prepare(
        experiment(tmp_path / "data", table(tmp_path / "recordings")), default_registry()
    )
    manifest = read_manifest(tmp_path / "data" / "manifest.jsonl")
    assert len(manifest) == 20
    assert all(u.split for u in manifest)
    assert prepared.splits == {
        split: sum(u.split == split for u in manifest) for split in prepared.splits
    }
    assert (prepared.speakers, prepared.languages) == (1, ("en-us",))


def test_ids_and_speakers_are_prefixed_with_the_corpus(tmp_path):
    write_corpus(tmp_path / "one", utterances=4, speakers=2)
    write_corpus(tmp_path / "two", utterances=4)
    prepare(
        experiment(
            tmp_path,
            table(tmp_path / "one", columns=["audio", "text", "speaker"]),
            table(tmp_path / "two", language="ru"),
        ),
        default_registry(),
    )
    manifest = read_manifest(tmp_path / "manifest.jsonl")
    assert manifest[0].id == "table1-utterance-000"
    assert manifest[4].id == "table2-utterance-000"
    assert [u.speaker for u in manifest[:5]] == ["table1-speaker-0", "table1-speaker-1"] * 2 + [
        "table2"
    ]
    assert {u.language for u in manifest} == {None, "ru"}
    assert [u.corpus for u in manifest] == ["table1"] * 4 + ["table2"] * 4


def test_groups_are_prefixed_with_the_corpus(tmp_path):
    rows = [{"audio": f"{n}.wav", "text": f"line {n}", "group": "song"} for n in range(4)]
    for name in ("one", "two"):
        write_corpus(tmp_path / name, utterances=4)
        lines = "\n".join(
            json.dumps(row | {"audio": f"utterance-00{n}.wav"}) for n, row in enumerate(rows)
        )
        (tmp_path / name / "list.jsonl").write_text(lines)
    corpora = [table(tmp_path / name, file="list.jsonl") for name in ("one", "two", "two")]
    whole = experiment(tmp_path, *corpora)
    data = evolve(whole.data, splits=SplitsConfig(golden_test=0))
    prepare(evolve(whole, data=data), default_registry())
    manifest = read_manifest(tmp_path / "manifest.jsonl")
    assert {u.group for u in manifest} == {f"table{n}-song" for n in (1, 2, 3)}
    assert all(len({u.split for u in manifest[n : n + 4]}) == 1 for n in (0, 4, 8))


def test_missing_recordings_are_reported_and_all_missing_is_an_error(tmp_path):
    write_corpus(tmp_path, utterances=3)
    (tmp_path / "utterance-001.wav").unlink()
    prepared = prepare(experiment(tmp_path / "data", table(tmp_path)), default_registry())
    assert prepared.corpora["table"].missing == ("utterance-001",)
    for path in tmp_path.glob("*.wav"):
        path.unlink()
    with pytest.raises(UserError, match="All 3 recordings of the corpus 'table' are missing"):
        prepare(experiment(tmp_path / "data", table(tmp_path)), default_registry())


def test_a_missing_speaker_among_named_ones_is_an_error(tmp_path):
    rows = [{"audio": "a.wav", "text": "A", "speaker": "x"}, {"audio": "b.wav", "text": "B"}]
    (tmp_path / "list.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    with pytest.raises(UserError, match="1 of 2 utterances of the corpus 'table' have no speaker"):
        prepare(experiment(tmp_path, table(tmp_path, file="list.jsonl")), default_registry())


def test_an_experiment_without_a_corpus_is_an_error(tmp_path):
    with pytest.raises(UserError, match="has no corpus"):
        prepare(experiment(tmp_path), default_registry())


def test_the_command_reports_empty_splits(tmp_path):
    write_corpus(tmp_path / "recordings", utterances=3)
    plain = f'directory = "{tmp_path}"\nsplits = {{valid = 0, test = 1}}\n'
    corpus = f'[[data.corpora]]\ntype = "table"\nroot = "{tmp_path / "recordings"}"\n'
    (tmp_path / "e.toml").write_text(f"[data]\n{plain}{corpus}")
    result = CliRunner().invoke(command, [str(tmp_path / "e.toml")], catch_exceptions=False)
    assert "The split 'valid' is empty; check [data.splits]" in result.output


def test_the_command_takes_the_root(tmp_path):
    write_corpus(tmp_path / "my recordings", utterances=12)
    (tmp_path / "e.toml").write_text(
        '[data]\ndirectory = "elsewhere"\n[[data.corpora]]\ntype = "table"\nroot = "nowhere"\n'
    )
    result = CliRunner().invoke(
        command,
        [
            str(tmp_path / "e.toml"),
            "--root",
            str(tmp_path / "my recordings"),
            "--set",
            f"data.directory={tmp_path / 'data'}",
        ],
        catch_exceptions=False,
    )
    assert result.exit_code == 0
    assert "train" in result.output
    assert len(read_manifest(tmp_path / "data" / "manifest.jsonl")) == 12


def reader_of(monkeypatch, read):
    """A registry in which `read` is the reader of the corpus `library`."""
    monkeypatch.setattr(sys.modules[__name__], "read_library", read, raising=False)
    entry = CorpusEntry(
        name="library",
        summary="Recordings made in libraries.",
        config="allophone.corpora.config:CorpusConfig",
        reader=f"{__name__}:read_library",
    )
    module = ModuleType("inline")
    module.CONTRACT = 1
    module.allophone_corpora = hookimpl(lambda: [entry])
    return build_registry({"whisperer": module})


def half_read(config):
    yield Utterance(id="a", audio="a.wav", text="")
    raise FileNotFoundError(2, "No such file or directory", "index.csv")


def stop_reading(config):
    raise UserError("There is no index.")


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda config: None, "returned None; expected an iterable of Utterance records"),
        (lambda config: utterances(1)[0], "returned a Utterance, .*; expected an iterable"),
        (lambda config: [None], "yielded None as number 1; expected an Utterance"),
        (lambda config: [*utterances(2), ("a.wav", "A")], "yielded a tuple, .'a.wav', .* number 3"),
        (lambda config: [{"id": "a"}], "yielded a dict, {'id': 'a'} as number 1"),
        (half_read, r"raised FileNotFoundError after 1 utterances: .*index.csv.*prepare\.py:\d+"),
        (lambda config: [Utterance(id="a b", audio="x", text="")], "raised ValueError.*'a b' must"),
        (list, "raised TypeError after 0 utterances"),
    ],
)
def test_a_reader_that_yields_something_else_is_reported(tmp_path, monkeypatch, read, said):
    registry = reader_of(monkeypatch, read)
    table = {"type": "library", "root": str(tmp_path)}
    whole = structure(
        Experiment, {"data": {"directory": str(tmp_path), "corpora": [table]}}, registry=registry
    )
    with pytest.raises(PluginError, match=f"corpus 'library', of whisperer, {said}") as caught:
        prepare(whole, registry)
    assert "Writing a reader" in caught.value.hint
    assert not (tmp_path / "manifest.jsonl").exists()


def test_user_errors_of_a_reader_are_passed_on(tmp_path, monkeypatch):
    registry = reader_of(monkeypatch, stop_reading)
    corpora = [{"type": "library", "root": str(tmp_path)}]
    whole = structure(Experiment, {"data": {"corpora": corpora}}, registry=registry)
    with pytest.raises(UserError, match=r"^There is no index\.$"):
        prepare(whole, registry)
