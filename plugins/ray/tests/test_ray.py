"""Work on a Ray cluster of two nodes on this machine, one of which is killed in the middle.

The result is compared with that of processes of this machine, byte by byte.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import ray

from allophone.config import Experiment, structure, unstructure
from allophone.config.tables import write_toml
from allophone.errors import UserError
from allophone.preparation import chunks
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.processes.executors import Task, open_executor
from allophone.registry import default_registry
from allophone_ray.executor import RayTasks
from allophone_testing import ExecutorContract, PluginContract
from allophone_testing.corpus import write_corpus


class TestPlugin(PluginContract):
    plugin = "ray"


@pytest.fixture(autouse=True)
def disconnected():
    """Each command connects to the cluster anew."""
    yield
    ray.shutdown()


@pytest.mark.usefixtures("node")
@pytest.mark.slow
class TestRay(ExecutorContract):
    executor = "ray"


@pytest.mark.usefixtures("node")
@pytest.mark.slow
def test_a_part_that_kills_its_process_each_time_is_an_error():
    with pytest.raises(UserError, match="killed its process 6 times") as caught:
        list(RayTasks().run(Task(start="ray_toys:deadly"), [1]))
    assert "run the command again" in caught.value.hint


@pytest.mark.usefixtures("node")
@pytest.mark.slow
def test_a_part_whose_process_dies_once_is_run_again(tmp_path):
    task = Task(start="ray_toys:dies_once", arguments=(str(tmp_path),))
    assert sorted(RayTasks(2).run(task, [1, 2, 3])) == [(1, 10), (2, 20), (3, 30)]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_cluster_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match=r"Ray cannot be reached at 127\.0\.0\.1:1") as caught:
        list(RayTasks().run(Task(start="ray_toys:deadly"), [1]))
    assert "RAY_ADDRESS" in caught.value.hint


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    write_corpus(folder, utterances=90, speakers=2, sample_rate=8000)
    return folder


def experiment_in(folder, recordings):
    return structure(
        Experiment,
        {
            "data": {
                "directory": str(folder / "data"),
                "corpora": [
                    {
                        "type": "table",
                        "root": str(recordings),
                        "columns": ["audio", "text", "speaker"],
                    }
                ],
            },
            "text": {"phonemizer": {"type": "graphemes"}},
            "audio": {"sample_rate": 8000},
            "features": {"waveform": {}, "phonemes": {}},
        },
    )


def content(folder):
    """The bytes of all features and reports."""
    data = folder / "data"
    paths = [*data.glob("features/*/*"), *data.glob("*.jsonl")]
    return {str(path.relative_to(data)): path.read_bytes() for path in paths}


@pytest.mark.slow
def test_extraction_survives_a_node_that_is_killed(
    cluster, node, start_node, recordings, tmp_path, monkeypatch
):
    monkeypatch.setattr(chunks, "CHUNK", 4)
    second = start_node(cluster, num_cpus=1)
    results = {}
    for name in ("local", "ray"):
        made = experiment_in(tmp_path / name, recordings)
        prepare(made, default_registry())

        def killing(items, *, total, description, name=name):
            """Kills the second node after a third of the utterances."""
            for number, item in enumerate(items):
                if name == "ray" and number == total // 3:
                    cluster.remove_node(second, allow_graceful=False)
                yield item

        executor = open_executor(name, 2, default_registry())
        results[name] = extract(made, default_registry(), executor=executor, track=killing)
    assert len(cluster.list_all_nodes()) == 2
    assert content(tmp_path / "ray") == content(tmp_path / "local")
    local, cluster_result = results["local"], results["ray"]
    for field in ("usable", "seconds", "computed", "notes", "dropped", "remarks"):
        assert getattr(local, field) == getattr(cluster_result, field), field
    again = extract(
        experiment_in(tmp_path / "ray", recordings),
        default_registry(),
        executor=open_executor("ray", None, default_registry()),
    )
    assert not any(again.computed.values())


def allophone(*arguments, folder):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "allophone", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.usefixtures("node")
@pytest.mark.slow
def test_commands_do_on_the_cluster_what_they_do_here(recordings, tmp_path):
    """With relative paths, as people write them."""
    texts = ["The sun rose.", "Boats came home.", "Warm light.", "A quiet sea.", "Nobody minds."]
    (tmp_path / "texts.txt").write_text("".join(f"{n}|{text}\n" for n, text in enumerate(texts)))
    scores = {}
    for name in ("local", "ray"):
        where = ["--executor", name, "--workers", "1"]
        spoken = ["synthesize", "--voice", "joe", "--list", "texts.txt", "--out", f"spoken-{name}"]
        done = allophone(*spoken, "--batch-size", "2", *where, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert f"Wrote 5 files, skipped 0 that were up to date: spoken-{name}" in done.stdout
        again = allophone(*spoken, *where, folder=tmp_path)
        assert "Wrote 0 files, skipped 5" in again.stdout
        judged = ["evaluate", "--voice", "joe", "--texts", "texts.txt", "--metric", "pauses"]
        kept = ["--metric", "speaking-rate", "--keep", f"kept-{name}", "--json", f"{name}.json"]
        done = allophone(*judged, *kept, *where, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        scores[name] = json.loads((tmp_path / f"{name}.json").read_text())["voices"]
    for folder in ("spoken", "kept"):
        local, other = (tmp_path / f"{folder}-{name}" for name in ("local", "ray"))
        names = sorted(path.name for path in local.glob("*.wav"))
        assert len(names) == 5
        for name in names:
            assert (local / name).read_bytes() == (other / name).read_bytes(), name
    assert scores["ray"] == scores["local"]


@pytest.mark.usefixtures("node")
@pytest.mark.slow
def test_extract_takes_the_executor(recordings, tmp_path):
    made = experiment_in(tmp_path, recordings)

    write_toml(tmp_path / "recipe.toml", unstructure(made))
    for arguments in (["prepare", "recipe.toml"], ["extract", "recipe.toml", "--executor", "ray"]):
        done = allophone(*arguments, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "usable: 90 utterances" in done.stdout
