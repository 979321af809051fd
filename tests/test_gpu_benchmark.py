"""`benchmarks/gpu.py`: what it says without a GPU, and its page, with parts that end well and badly."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "gpu.py"


@pytest.fixture
def gpu():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("gpu_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def run(gpu, *arguments):
    return CliRunner().invoke(gpu.main, [*map(str, arguments)])


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_without_a_gpu_it_says_so_and_exits_with_2(tmp_path):
    command = [sys.executable, SCRIPT, "--out", tmp_path / "page.md"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no CUDA GPU here" in done.stderr
    assert "--dry-run" in done.stderr
    assert not (tmp_path / "page.md").exists()


@pytest.mark.slow
def test_a_dry_run_measures_searches_and_speech(gpu, tmp_path):
    page = tmp_path / "page.md"
    done = run(gpu, "--dry-run", "--only", "search", "--only", "synthesis", "--out", page)
    assert done.exit_code == 0, done.output
    text = page.read_text("utf-8")
    assert "the figures mean nothing" in text
    for found in (
        "| 2, 30, 10 | allophone, on the device |",
        "| joe (VITS) | 2 |",
        "| HiFi-GAN | 1 |",
    ):
        assert found in text
    assert "failed" not in text


PART = """
import sys, time
print('{"what": "first|second", "ms": 1}', flush=True)
if sys.argv[1] == "search":
    sys.exit("no such kernel")
if sys.argv[1] == "training":
    print('{"what": "third", "failed": "out of memory"}', flush=True)
    print('{"what": "half', end="", flush=True)
    time.sleep(60)
"""


def test_failing_parts_are_reported_and_the_next_ones_run(gpu, tmp_path, monkeypatch):
    (tmp_path / "parts.py").write_text(PART)
    monkeypatch.setattr(gpu, "PARTS", tmp_path / "parts.py")
    monkeypatch.setitem(gpu.BUDGETS, "training", 3)
    written = []
    before = gpu.page
    monkeypatch.setattr(gpu, "page", lambda *a, **b: written.append(before(*a, **b)) or written[-1])
    parts = ("search", "training", "compile")
    chosen = [word for part in parts for word in ("--only", part)]
    done = run(gpu, "--dry-run", *chosen, "--out", tmp_path / "page.md")
    assert done.exit_code == 1
    assert "with failures: search, training" in done.output
    assert [one.count("Not run.") for one in written] == [3, 2, 1, 0]
    text = (tmp_path / "page.md").read_text("utf-8")
    assert text == written[-1]
    assert "| first\\|second | 1 |" in text
    assert "**This part failed**: ended with status 1: no such kernel." in text
    assert "| third |  | out of memory |" in text
    assert "**This part failed**: not done within 3 seconds." in text
    assert "half" not in text


def test_a_limit_of_time_leaves_parts_out(gpu, tmp_path):
    done = run(
        gpu, "--dry-run", "--minutes", "0", "--only", "search", "--out", tmp_path / "page.md"
    )
    assert done.exit_code == 1
    assert "with failures: search" in done.output
    assert "Not run." in (tmp_path / "page.md").read_text("utf-8")
