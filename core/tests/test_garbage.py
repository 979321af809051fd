"""Every reader of JSON, TOML and training states refuses other content with an error that names the file."""

import json
import os
import re

import pytest
import torch
from training_toys import GanConfig, in_memory, make_experiment, toy_registry, train_toy

from allophone.audio.mel_files import DESCRIPTION, read_description
from allophone.config.tables import read_toml
from allophone.data.digests import Digests
from allophone.data.manifest import read_manifest
from allophone.data.store import FeatureStore
from allophone.data.vocabulary import read_vocabulary
from allophone.errors import UserError
from allophone.files.locks import _read_holder
from allophone.files.parsing import parse_json, parse_toml, read_json_object, why_not_text
from allophone.files.run_folder import PROVENANCE, STATE, find_checkpoint, read_provenance
from allophone.foreign.settings import peek_json, read_json, read_yaml
from allophone.preparation.remarks import read_remarks
from allophone.synthesis.ledger import MADE, Ledger
from allophone.synthesis.requests import read_requests
from allophone.training.observers import _truncate_after

GARBAGE = {
    "empty": b"",
    "half": b'{"a": ',
    "list": b"[1, 2]",
    "null": b"null",
    "number": b"5",
    "string": b'"words"',
    "of other content": b'{"a": 1}',
    "of other kinds": b'{"arrays": 1, "dropped": [], "speakers": 1, "languages": {}, "symbols": 3, "id": 1,'
    b' "audio": [], "text": {}, "validation": 3, "step": "x", "file": null}',
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep lists, cut off": b"[" * 100_000,
    "deep tables": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a little too deep": b'{"a":' * 40 + b"1" + b"}" * 40,
    "long number": b'{"a": ' + b"9" * 10_000 + b"}",
    "binary": bytes(range(256)),
    "zeros": bytes(4096),
    "surrogate": b'{"\\ud800": "\\udfff"}',
}


def read_index(path):
    folder = path.parent / "store" / "x"
    folder.mkdir(parents=True)
    path.rename(folder / "0.json")
    FeatureStore(folder, {}).find("a")


def read_digests(path):
    folder = path.parent / "digests"
    folder.mkdir()
    path.rename(folder / "0.json")
    Digests(folder).digest("a")


def read_log(path):
    path.write_bytes(path.read_bytes().replace(b"\n", b" ") + b"\n")
    path.rename(path.with_name(MADE))
    Ledger(path.parent, {})


def read_metrics(path):
    path.write_bytes(path.read_bytes().replace(b"\n", b" ") + b"\n")
    _truncate_after(path, 3)


READERS = {
    "object": read_json_object,
    "settings": read_json,
    "YAML settings": read_yaml,
    "vocabulary": read_vocabulary,
    "manifest": read_manifest,
    "requests": lambda path: read_requests(path.rename(path.with_suffix(".jsonl"))),
    "TOML": read_toml,
    "index of features": read_index,
    "cache of digests": read_digests,
    "log of made files": read_log,
    "metrics": read_metrics,
}
VALID = {
    (reader, content)
    for reader in ("object", "settings", "YAML settings")
    for content in ("of other content", "of other kinds", "surrogate")
} | {
    ("TOML", "empty"),
    ("cache of digests", "empty"),
}


@pytest.mark.parametrize("content", GARBAGE)
@pytest.mark.parametrize("reader", READERS)
def test_other_content_is_refused(tmp_path, reader, content):
    if reader == "YAML settings":
        pytest.importorskip("yaml")
    path = tmp_path / "some.json"
    path.write_bytes(GARBAGE[content])
    if (reader, content) in VALID:
        READERS[reader](path)
        return
    with pytest.raises(UserError, match=str(tmp_path)) as caught:
        READERS[reader](path)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("content", GARBAGE)
def test_what_only_helps_is_ignored(tmp_path, content):
    """What is not needed is done without: remarks, the holder of a lock, settings that are only looked at."""
    path = tmp_path / "some.json"
    path.write_bytes(GARBAGE[content])
    assert read_remarks(path) == {}
    descriptor = os.open(path, os.O_RDONLY)
    assert _read_holder(descriptor) == {}
    os.close(descriptor)
    assert peek_json(path).get("model") is None


@pytest.mark.parametrize("content", GARBAGE)
def test_mels_toml_of_other_content(tmp_path, content):
    path = tmp_path / DESCRIPTION
    path.write_bytes(GARBAGE[content])
    with pytest.raises(UserError, match=r"mels\.toml"):
        read_description(tmp_path)


def test_files_that_are_none_and_files_that_are_too_large(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="there is no file"):
        read_json_object(tmp_path / "none.json")
    os.mkfifo(tmp_path / "pipe.json")
    for read in (read_json_object, read_json, read_toml):
        with pytest.raises(UserError, match="is a named pipe; expected a file"):
            read(tmp_path / "pipe.json")
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(200_000_000)
    for read in (read_json_object, read_json):
        with pytest.raises(UserError, match=r"200,000,000 bytes; expected at most 100,000,000"):
            read(large)


def test_what_is_nested_as_deep_as_allowed_is_read():
    for levels, fits in ((32, True), (33, False)):
        for text, parse in (
            ("[" * levels + "]" * levels, parse_json),
            ('{"a":' * (levels - 1) + "[]" + "}" * (levels - 1), parse_json),
            # The file itself is a table.
            ("x = " + "[" * (levels - 1) + "]" * (levels - 1), parse_toml),
        ):
            if fits:
                parse(text, "It")
            else:
                with pytest.raises(UserError, match="It is nested too deep; expected at most 32"):
                    parse(text, "It")


def test_yaml_whose_aliases_multiply_is_read_at_once(tmp_path):
    pytest.importorskip("yaml")
    lines = ["a: &a0 [1]"] + [
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 20)
    ]
    (tmp_path / "some.yaml").write_text("\n".join(lines))
    assert read_yaml(tmp_path / "some.yaml")["a1"] == [[1]] * 10


def test_brackets_in_strings_are_not_levels():
    assert parse_json(json.dumps("[" * 5000), "It") == "[" * 5000


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "must be a string, not None"),
        (5, "must be a string, not 5"),
        (b"word", "must be a string, not b'word'"),
        ("a\0b", r"has a NUL character: 'a\\x00b'"),
        ("a\ud800", r"has an unpaired surrogate, .*'a\\ud800'"),
        ("\udcff" * 500, "has an unpaired surrogate"),
    ],
)
def test_what_is_no_text(value, reason):
    found = why_not_text(value)
    assert found is not None
    assert re.match(reason, found)
    assert len(found) < 200


def test_what_is_a_text():
    for text in ("", "words", "Жук 😀", "\u2028\x07"):
        assert why_not_text(text) is None


@pytest.fixture
def trained(tmp_path):
    """A function that trains to step 2 and resumes to step 3."""
    registry = toy_registry()

    def resume(**change):
        train_toy(
            tmp_path / "run",
            make_experiment(GanConfig(), max_steps=3, **change),
            registry=registry,
            resume=find_checkpoint(tmp_path / "run"),
        )

    with in_memory():
        train_toy(tmp_path / "run", make_experiment(GanConfig(), max_steps=2), registry=registry)
        yield resume, find_checkpoint(tmp_path / "run")


def without(state, *path):
    *parents, last = path
    for name in parents:
        state = state[name]
    del state[last]


def replaced(state, value, *path):
    *parents, last = path
    for name in parents:
        state = state[name]
    state[last] = value


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: without(state, "runtime"),
        lambda state: without(state, "train", "position"),
        lambda state: without(state, "random"),
        lambda state: without(state, "runtime", "optimizers", "model", "state"),
        lambda state: replaced(state, 7, "runtime", "step"),
        lambda state: replaced(state, "two", "runtime", "step"),
        lambda state: replaced(state, [], "runtime", "optimizers"),
        lambda state: replaced(state, [{}], "random"),
        lambda state: replaced(state, "x", "runtime", "optimizers", "model"),
        lambda state: replaced(
            state, {"state": {}, "param_groups": []}, "runtime", "optimizers", "model", "state"
        ),
        lambda state: replaced(
            state,
            {0: {"momentum_buffer": torch.zeros(77, 3)}},
            *("runtime", "optimizers", "model", "state", "state"),
        ),
    ],
)
def test_a_training_state_of_other_content(trained, damage):
    resume, checkpoint = trained
    path = checkpoint.path / STATE
    state = torch.load(path, weights_only=True)
    damage(state)
    torch.save(state, path)
    with pytest.raises(
        UserError, match="another model|not the training state|optimizers|other groups"
    ) as caught:
        resume()
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4 and so on", bytes(range(256)), GARBAGE["deep lists"]]
)
def test_a_training_state_that_is_none(trained, content):
    resume, checkpoint = trained
    (checkpoint.path / STATE).write_bytes(content)
    with pytest.raises(UserError, match=r"state\.pt is damaged, or is not a training state"):
        resume()


@pytest.mark.parametrize("content", [5, [1, 2], {}, {"model": torch.zeros(3)}])
def test_a_training_state_of_another_program(trained, content):
    resume, checkpoint = trained
    torch.save(content, checkpoint.path / STATE)
    with pytest.raises(UserError, match=r"state\.pt is not the training state"):
        resume()


@pytest.mark.parametrize("content", GARBAGE)
def test_provenance_of_other_content(trained, content):
    _, checkpoint = trained
    (checkpoint.path / PROVENANCE).write_bytes(GARBAGE[content])
    if content in ("of other content", "surrogate"):
        # Nothing that is needed is known.
        assert read_provenance(checkpoint)["validation"] == {}
        return
    with pytest.raises(UserError, match=r"provenance\.json"):
        read_provenance(checkpoint)
