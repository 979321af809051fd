"""Preparing a corpus keeps a few numbers of each utterance, and not the utterances."""

from __future__ import annotations

import tracemalloc

from allophone.config.experiment import SplitsConfig
from allophone.data.manifest import Utterance, read_manifest, write_manifest
from allophone.preparation.splits import assign_splits

ROWS = 20_000
MOST_BYTES = 200
"""For each utterance; as objects they take over 800."""


class Corpus:
    """Utterances that are made when they are asked for."""

    def __iter__(self):
        for number in range(ROWS):
            text = f"number {number} of a corpus that is too large to be kept"
            yield Utterance(id=f"u{number:06d}", audio=f"/recordings/{number:06d}.wav", text=text)


def test_splits_and_a_manifest_take_little_memory(tmp_path):
    path = tmp_path / "manifest.jsonl"
    write_manifest(path, assign_splits([[*Corpus()][:10]], SplitsConfig()))  # imports
    tracemalloc.start()
    write_manifest(path, assign_splits([Corpus()], SplitsConfig(valid=50, test=0.01)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST_BYTES * ROWS
    assert len(read_manifest(path, "valid")) == 50
    splits = [read_manifest(path, split) for split in ("train", "valid", "test", "golden_test")]
    assert sum(map(len, splits)) == ROWS == len(read_manifest(path))
