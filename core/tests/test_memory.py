"""The memory of a process that synthesizes many different sentences is bounded."""

import os
import subprocess
import sys

import pytest

from allophone.errors import UserError
from allophone.inference import engine, memory
from allophone.inference.memory import HeapTrimmer, limit_shape_cache, resident_bytes

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_the_heap_is_trimmed_when_the_process_has_grown(monkeypatch):
    trims = []
    sizes = iter([100, 100 + 2**27, 101 + 2**27, 50, 51 + 2**27, 60 + 2**27, 70 + 2**27])
    monkeypatch.setattr(memory, "_malloc_trim", lambda: lambda pad: trims.append(pad) or 1)
    monkeypatch.setattr(memory, "resident_bytes", lambda: next(sizes))
    trim = HeapTrimmer()
    for expected in (0, 0, 1, 2, 2):
        trim()
        assert len(trims) == expected


def test_nothing_is_trimmed_where_the_library_cannot(monkeypatch):
    monkeypatch.setattr(memory, "_malloc_trim", lambda: None)
    monkeypatch.setattr(memory, "resident_bytes", lambda: pytest.fail("looked at"))
    HeapTrimmer()()


@linux
def test_free_memory_is_given_back():
    """In a process of its own: what lies free in this one's heap depends on other tests."""
    code = """if True:
        from allophone.inference.memory import HeapTrimmer, resident_bytes
        trim = HeapTrimmer()
        trim()
        # Small pieces, of which the last is kept: the heap cannot shrink by itself.
        pieces = [bytearray(100_000) for _ in range(3000)]
        kept = bytearray(100_000)
        del pieces
        before = resident_bytes()
        trim()
        print(before - resident_bytes())
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 200_000_000


@linux
def test_resident_bytes():
    before = resident_bytes()
    held = bytearray(os.urandom(1)) * 50_000_000
    assert 40_000_000 < resident_bytes() - before < 80_000_000
    del held


def test_the_cache_of_shapes_is_limited_unless_the_user_has_chosen(monkeypatch):
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    limit_shape_cache()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "128"
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "7")
    limit_shape_cache()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "7"


def test_the_cache_is_limited_before_a_model_is_built(monkeypatch):
    """A model may prepare its weights with oneDNN, which reads the limit once."""
    found = []

    def build(*given):
        found.append(os.environ.get("ONEDNN_PRIMITIVE_CACHE_CAPACITY"))
        raise UserError("far enough")

    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    monkeypatch.setattr(engine, "build_synthesizer", build)
    with pytest.raises(UserError, match="far enough"):
        engine.load_stored(None, registry=None)
    assert found == ["128"]
