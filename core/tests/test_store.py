"""The feature store, file digests and atomic writing."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from allophone.data.digests import Digests, digest_of, file_state, is_unchanged
from allophone.data.manifest import Dropped
from allophone.data.store import FeatureStore, StoredArray
from allophone.errors import UserError
from allophone.files.atomic import atomic_write, remove_abandoned

DROPPED = Dropped(reason="too short", detail="0.1 s")


def content(folder: Path):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def bits(array):
    return array.dtype, array.shape, array.tobytes()


stored_arrays = st.one_of(
    arrays(np.float32, array_shapes(max_dims=3, min_side=0)),
    arrays(np.int64, array_shapes(max_dims=2, min_side=0)),
    arrays(np.float64, ()),
    arrays("<U3", st.integers(0, 9), elements=st.text(max_size=3).filter(lambda s: "\0" not in s)),
    arrays(np.int16, st.integers(0, 9)).map(lambda a: a.astype(np.float32) / 32768),
)


@given(values=st.lists(stored_arrays, min_size=1, max_size=5))
def test_arrays_are_read_back_bit_for_bit(values, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    named = {f"key{index}": value for index, value in enumerate(values)}
    FeatureStore(folder, {}).commit(named)
    reopened = FeatureStore(folder, {})
    for key, value in named.items():
        assert bits(reopened.find(key).read()) == bits(value)


def test_sixteen_bit_samples_take_two_bytes_each(tmp_path):
    samples = np.arange(-32768, 32768).astype(np.float32) / 32768
    store = FeatureStore(tmp_path, {})
    store.commit({"sixteen": samples, "more": samples / 3})
    (pack,) = tmp_path.glob("*.bin")
    assert pack.stat().st_size == 65536 * (2 + 4)
    assert np.array_equal(store.find("sixteen").read(), samples)
    assert np.array_equal(store.find("more").read(), samples / 3)


def test_reading_copies_nothing_and_allows_no_writing(tmp_path):
    store = FeatureStore(tmp_path, {})
    store.commit({"a": np.arange(10, dtype=np.int64), "b": np.array(["x", "yy"])})
    for key in ("a", "b"):
        array = store.find(key).read()
        assert not array.flags.owndata
        assert not array.flags.writeable


def test_symbols_are_distinguished_from_numbers(tmp_path):
    store = FeatureStore(tmp_path, {})
    store.commit({"a": np.zeros(3), "b": np.array(["x", "yy"])})
    assert (store.find("a").is_text, store.find("b").is_text) == (False, True)


def test_arrays_of_python_objects_are_refused(tmp_path):
    with pytest.raises(TypeError, match="Python objects"):
        FeatureStore(tmp_path, {}).commit({"a": np.array(["x", None], dtype=object)})


def test_an_array_found_later_replaces_a_reason_to_drop(tmp_path):
    FeatureStore(tmp_path, {}).commit({"a": DROPPED, "b": np.zeros(1)})
    assert FeatureStore(tmp_path, {}).find("a") == DROPPED
    FeatureStore(tmp_path, {}).commit({"a": np.ones(1)})
    assert isinstance(FeatureStore(tmp_path, {}).find("a"), StoredArray)
    assert FeatureStore(tmp_path, {}).find("never tried") is None


def test_the_same_results_make_the_same_files(tmp_path):
    results = {"b": np.arange(5.0), "a": DROPPED, "c": np.array(["x"])}
    FeatureStore(tmp_path / "one", {"version": 1}).commit(results)
    FeatureStore(tmp_path / "two", {"version": 1}).commit(dict(reversed(results.items())))
    assert content(tmp_path / "one") == content(tmp_path / "two")


@pytest.mark.parametrize("renames", range(3))
def test_an_interrupted_commit_stores_nothing(tmp_path, monkeypatch, renames):
    """Power fails before the rename of key.json, of the pack, or of its index."""
    done = []

    def cut_off(self, target):
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(target)
        os.replace(self, target)

    store = FeatureStore(tmp_path, {})
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", cut_off)
        with pytest.raises(KeyboardInterrupt):
            store.commit({"a": np.arange(3)})
    store = FeatureStore(tmp_path, {})
    assert store.find("a") is None
    store.commit({"a": np.arange(3)})
    whole = FeatureStore(tmp_path / "whole", {})
    whole.commit({"a": np.arange(3)})
    assert content(tmp_path / "whole") == {
        path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()
    }


def test_a_corrupt_pack_or_index_is_reported(tmp_path):
    FeatureStore(tmp_path, {}).commit({"a": np.arange(30)})
    (pack,) = tmp_path.glob("*.bin")
    found = FeatureStore(tmp_path, {}).find("a")
    pack.write_bytes(pack.read_bytes()[:100])
    with pytest.raises(UserError, match="is truncated") as caught:
        found.read()
    assert "allophone extract" in caught.value.hint
    pack.with_suffix(".json").write_text('{"arrays"')
    with pytest.raises(UserError, match="is corrupt"):
        FeatureStore(tmp_path, {}).find("a")


def test_more_packs_than_may_be_open_can_be_read(tmp_path):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    store = FeatureStore(tmp_path, {})
    for number in range(400):
        store.commit({f"{number}": np.full(4, number)})
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 350), hard))
    try:
        read = [int(store.find(f"{number}").read()[0]) for number in range(400)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert read == list(range(400))


def test_the_key_is_written_to_the_folder(tmp_path):
    FeatureStore(tmp_path, {"version": 3}).commit({"a": np.zeros(1)})
    assert json.loads((tmp_path / "key.json").read_text()) == {"version": 3}


def test_a_file_keeps_its_old_content_when_writing_fails(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail():
        with atomic_write(path) as file:
            file.write(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert content(tmp_path) == {"file": b"old"}


def test_only_temporary_files_of_ended_processes_are_removed(tmp_path):
    old, young, other = tmp_path / ".a.1.tmp", tmp_path / ".b.2.tmp", tmp_path / "c.bin"
    for path in (old, young, other):
        path.touch()
    hours_ago = time.time() - 7200
    os.utime(old, (hours_ago, hours_ago))
    os.utime(other, (hours_ago, hours_ago))
    remove_abandoned(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {young.name, other.name}


def test_plain_data_has_one_digest_in_any_order():
    assert digest_of({"a": 1, "b": [1.5, None]}) == digest_of({"b": [1.5, None], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": "1"})


def test_a_file_is_read_again_only_when_it_has_changed(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("one")
    seen = file_state(str(path))
    assert is_unchanged(str(path), seen)
    with monkeypatch.context() as patched:
        patched.setattr("builtins.open", None)
        assert file_state(str(path), seen) == seen
    path.write_text("two")
    os.utime(path, ns=(0, seen[1] + 1))
    assert not is_unchanged(str(path), seen)
    assert file_state(str(path), seen)[2] != seen[2]


def test_a_missing_file_has_no_state(tmp_path):
    path = str(tmp_path / "nothing")
    assert file_state(path) is None
    assert is_unchanged(path, None)
    digests = Digests(tmp_path / "digests")
    assert path not in digests
    digests.update({path: None})
    digests.save("all", [path])
    reopened = Digests(tmp_path / "digests")
    assert path in reopened
    assert reopened.digest(path) is None


def test_digests_of_several_processes_are_merged_and_the_last_one_wins(tmp_path):
    for name, digest in (("z", "0" * 32), ("a", "f" * 32)):
        digests = Digests(tmp_path / "digests")
        digests.update({"one": (1, 2, digest), f"only {name}": (1, 2, digest)})
        assert digests.changed
        digests.save(name, ["one", f"only {name}"])
        assert not digests.changed
        # The times of two files written at once may be equal.
        time.sleep(0.02)
    digests = Digests(tmp_path / "digests")
    assert [digests.digest(path) for path in ("one", "only z", "only a")] == [
        "f" * 32,
        "0" * 32,
        "f" * 32,
    ]


def test_corrupt_digests_are_an_error(tmp_path):
    (tmp_path / "all.json").write_text("{")
    with pytest.raises(UserError, match=r"all\.json is corrupt"):
        Digests(tmp_path).digest("one")


def test_two_processes_may_write_one_file_at_once(tmp_path):
    path = tmp_path / "file"
    with atomic_write(path) as first:
        first.write(b"first, and long")
        with atomic_write(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert content(tmp_path) == {"file": b"first, and long"}
