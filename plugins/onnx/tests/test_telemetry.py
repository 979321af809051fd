"""onnxruntime sends no telemetry."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import allophone_onnx.session
import onnxruntime

print(onnxruntime.__version__)
"""


def test_onnxruntime_stores_no_events(tmp_path: Path) -> None:
    variables = {key: value for key, value in os.environ.items() if not key.startswith("ORT_")}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**variables, "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("*")), list(tmp_path.rglob("*"))
