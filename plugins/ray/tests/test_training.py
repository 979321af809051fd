"""The script of docs/scaling.md that trains on a Ray cluster, on two nodes of this machine without GPUs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from allophone.cli import allophone
from allophone.files.run_folder import METRICS, checkpoints
from allophone_testing.corpus import write_corpus

SCALING = Path(__file__).parents[3] / "docs" / "scaling.md"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SCALING.exists(), reason="the script is in the repository's docs"),
]


def documented_script(command):
    """The script for two ranks without GPUs, which run a command of `allophone`."""
    (code,) = re.findall(
        r"^```python\n(import os\n[\s\S]*?)^```$", SCALING.read_text("utf-8"), re.M
    )
    for old, new in (
        ("num_gpus=1", "num_cpus=1"),
        ("range(16)", "range(2)"),
        ('["train", "vits/ljspeech", "--run", "/shared/runs/lj"]', repr(command)),
    ):
        assert code.count(old) == 1, old
        code = code.replace(old, new)
    return code


@pytest.mark.usefixtures("node")
def test_ranks_on_two_nodes_train_as_two_processes_do(cluster, start_node, tmp_path):
    start_node(cluster, num_cpus=1)
    write_corpus(tmp_path / "corpus", utterances=8, sample_rate=16000)
    values = (
        f"data.corpora.0.root={tmp_path / 'corpus'}",
        f"data.directory={tmp_path / 'data'}",
        "data.splits.valid=2",
        "data.batching.max_utterances=2",
        "data.batching.workers=0",
        "trainer.segment_size=2048",
        "runtime.max_steps=3",
        "runtime.samples=0",
        "runtime.log_every=1",
        "runtime.keep.best_metric=none",
    )
    recipe = ["hifigan/tiny", *(word for value in values for word in ("--set", value))]

    def run(*words):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_ADDRESS": cluster.address}
        done = subprocess.run(
            [sys.executable, *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def train(name):
        return ["train", *recipe, "--run", str(tmp_path / name), "--devices", "cpu"]

    for command in ("prepare", "extract"):
        done = CliRunner().invoke(allophone, [command, *recipe])
        assert done.exit_code == 0, done.output
    run("-m", "allophone", *train("local"), "--processes", "2")
    run("-c", documented_script(train("ray")))
    runs = [tmp_path / name for name in ("local", "ray")]
    steps, weights = [], []
    for folder in runs:
        lines = (folder / METRICS).read_text("utf-8").splitlines()
        events = map(json.loads, lines)
        steps.append([event["metrics"] for event in events if event["event"] == "step"])
        last = checkpoints(folder)[-1]
        weights.append({path.name: path.read_bytes() for path in last.path.glob("*.safetensors")})
    assert len(steps[0]) == 3
    assert steps[0] == steps[1]
    assert weights[0] == weights[1]
