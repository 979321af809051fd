"""Packages written by `allophone package` can be installed with pip and used by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import allophone

FORMAT = Path(__file__).parent / "data" / "format-1"
TEXT = "Good morning."
STILL = {"noise_scale": 0.0, "noise_scale_duration": 0.0}


@pytest.mark.parametrize(
    ("place", "name", "labels"),
    [
        (FORMAT / "voice", "anna", ("--licence", "CC-BY-4.0")),
        (FORMAT / "run", "boris", ("--licence", "CC-BY-4.0", "--version", "1.2")),
        ("joe", "joseph", ()),
    ],
)
def test_a_packaged_voice_can_be_installed_and_used(environment, tmp_path, place, name, labels):
    pytest.importorskip("hatchling")

    def done(run):
        assert run.returncode == 0, run.stderr
        return run

    into = ("--name", name, "--into", str(tmp_path))
    written = done(environment.allophone("package", str(place), *into, *labels))
    project = tmp_path / f"allophone-voice-{name}"
    assert f"pip install {project}" in written.stdout
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    target = ("--target", str(environment.packages))
    done(environment.python("-m", "pip", "install", "--quiet", *offline, *target, str(project)))

    still = [f"--{control.replace('_', '-')}=0" for control in STILL]
    speaking = ("say", TEXT, "--voice", name, "--out", "said.wav", *still)
    done(environment.allophone(*speaking))
    samples, _ = soundfile.read(environment.folder / "said.wav", dtype="float32")
    expected = allophone.load(place).say(TEXT, **STILL).samples
    np.testing.assert_allclose(samples, expected.clip(-1, 1), atol=1e-4)
    about = environment.allophone("voices")
    assert f"{name}  " in about.stdout


def test_the_package_of_an_exported_voice_needs_no_torch(environment, tmp_path):
    code = (
        "import sys\n"
        "from allophone.cli import allophone\n"
        f"allophone(['package', 'joe', '--into', {str(tmp_path)!r}], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules"
    )
    run = environment.python("-c", code)
    assert run.returncode == 0, run.stderr
