"""What the command line expects of a plugin's commands, and training of its observer: their contracts.

from allophone_testing import CommandContract, ObserverContract

class TestCommands(CommandContract):
    plugin = "mine"

class TestObserver(ObserverContract):
    plugin = "mine"
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from allophone.entries import CommandEntry
from allophone.events import (
    CheckpointSaved,
    RunFinished,
    RunStarted,
    SampleAudio,
    SampleImage,
    SamplesMade,
    StepFinished,
    TrainEvent,
    Validated,
)
from allophone.plugin import Plugin
from allophone.registry import Registry
from allophone_testing.contract import Contract
from allophone_testing.light import heavy_imports
from allophone_testing.plugin import find_plugin

_HEAVY = ("torch", "torchaudio", "numpy", "librosa", "scipy")


class CommandContract(Contract):
    """Commands are listed with a summary, explain themselves at once, and refuse what they don't know.

    plugin: its name, which is that of its entry point.
    """

    plugin: str

    @pytest.fixture(scope="class")
    @classmethod
    def commands(cls, registry: Registry) -> tuple[CommandEntry, ...]:
        """The commands of the plugin."""
        offered: Plugin = find_plugin(cls.plugin, registry)
        entries = offered.entries.get("commands", ())
        assert entries, f"The plugin '{cls.plugin}' offers no commands."
        return tuple(entries)

    def test_each_is_a_click_command(
        self, commands: tuple[CommandEntry, ...], registry: Registry
    ) -> None:
        for entry in commands:
            command = registry.load("commands", entry.name, "command")
            assert isinstance(command, click.Command), f"{entry.command} is not a click.Command."
            assert entry.summary, f"'{entry.name}' has no summary for `allophone --help`."

    def test_help_is_light(self, commands: tuple[CommandEntry, ...]) -> None:
        for entry in commands:
            module, _, attribute = str(entry.command).partition(":")
            code = (
                f"from importlib import import_module\n"
                f"command = import_module({module!r}).{attribute}\n"
                "command(['--help'])"
            )
            heavy = heavy_imports(code, heavy=_HEAVY)
            assert not heavy, (
                f"`{entry.name} --help` imports {', '.join(heavy)}: import what is heavy in the command itself."
            )

    def test_unknown_options_are_refused(
        self, commands: tuple[CommandEntry, ...], registry: Registry
    ) -> None:
        for entry in commands:
            command = registry.load("commands", entry.name, "command")
            result = CliRunner().invoke(command, ["--no-such-option"])
            assert result.exit_code == 2, (
                f"`{entry.name} --no-such-option` ends with status {result.exit_code}, not 2: leave options "
                "to click."
            )
            assert "no-such-option" in result.output, f"'{entry.name}' does not name the option."


class ObserverContract(Contract):
    """An observer takes every event of a run, also of one that is resumed, and keeps to the run's folder.

    plugin: its name, which is that of its entry point.
    """

    plugin: str

    def events(self, run: Path) -> Iterator[TrainEvent]:
        """The events of a run that is stopped after its first checkpoint, and resumed."""
        common: dict[str, Any] = {"run": run, "model": "contract"}
        picture, sound = np.zeros((8, 20), np.float32), np.zeros(800, np.float32)
        for first, last in ((0, 2), (2, 4)):
            yield RunStarted(**common, step=first, config={"runtime": {"seed": 0}}, max_steps=4)
            for step in range(first + 1, last + 1):
                yield StepFinished(
                    **common,
                    step=step,
                    epoch=0,
                    metrics={"loss": 1.0 / step, "learning_rate": 1e-3},
                    throughput={"steps": 2.0, "utterances": 8.0, "audio_seconds": 30.0},
                )
            yield Validated(**common, step=last, metrics={"loss": 0.5})
            yield SamplesMade(
                **common,
                step=last,
                samples={
                    "one/mel": SampleImage(values=picture),
                    "one/audio": SampleAudio(samples=sound, sample_rate=8000),
                },
            )
            folder = run / "checkpoints" / f"step-{last:08d}"
            folder.mkdir(parents=True, exist_ok=True)
            yield CheckpointSaved(**common, step=last, path=folder)
            yield RunFinished(**common, step=last, reason="signal" if last < 4 else "max_steps")

    def test_it_takes_every_event(
        self, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        offered = find_plugin(self.plugin, registry)
        assert offered.state == "works", f"The plugin '{self.plugin}' does not work."
        elsewhere = tmp_path / "elsewhere"
        run = tmp_path / "run"
        elsewhere.mkdir()
        run.mkdir()
        monkeypatch.chdir(elsewhere)
        for event in self.events(run):
            for failure in registry.notify(event):
                ours = failure.observer.startswith(f"'{self.plugin}' ")
                assert not ours, f"It does not take a {type(event).__name__}: {failure}"
        left = os.listdir(elsewhere)
        assert not left, f"It has written {left} into the current folder: write into event.run."
