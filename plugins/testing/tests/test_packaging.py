"""`allophone package` writes a package of a voice, which speaks by its name once it is found."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec

import numpy as np
import pytest
from attrs import evolve

from allophone.errors import UserError
from allophone.registry import build_registry, default_registry
from allophone.synthesis.description import About
from allophone.synthesis.loading import load
from allophone_testing import toys
from allophone_testing.packaging import PackageMetadata, package_voice


@pytest.fixture
def registry():
    return toys.toy_registry()


@pytest.fixture
def as_default(registry, monkeypatch):
    """The registry is that of this process, until the test ends."""
    monkeypatch.setattr("allophone.registry.build_registry", lambda: registry)
    default_registry.cache_clear()
    yield
    default_registry.cache_clear()


@pytest.fixture
def voice(registry, tmp_path):
    """The path of a voice folder."""
    toys.write_voice(tmp_path / "tim", toys.stored_voice(), registry=registry)
    return tmp_path / "tim"


@pytest.fixture
def installed(monkeypatch):
    """installed(folder) is a registry in which the package in a folder is found beside the toys."""

    def found(folder):
        monkeypatch.syspath_prepend(str(folder))
        package = folder.name.replace("-", "_")
        for name in [name for name in sys.modules if name.startswith(package)]:
            monkeypatch.delitem(sys.modules, name)
        hooks = importlib.import_module(f"{package}.hooks")
        return build_registry({"toys": toys.toy_plugin(), "packaged": hooks})

    return found


def test_a_packaged_voice_speaks_by_its_name(voice, registry, installed, tmp_path):
    folder = package_voice(str(voice), tmp_path, PackageMetadata(name="tom"), registry)
    assert folder == tmp_path / "allophone-voice-tom"
    there = installed(folder)
    packaged = load("tom", registry=there)
    assert packaged.name == "tom"
    assert packaged.description.about.licence == "CC0-1.0"
    expected = load(voice, registry=registry).say("Hello.", seed=3).samples
    assert np.array_equal(packaged.say("Hello.", seed=3).samples, expected)


def test_it_says_what_it_needs_and_what_one_may_do(voice, registry, tmp_path):
    metadata = PackageMetadata(version="1.2", summary='Says "hello" \\o/\n 👋', language="en-gb")
    folder = package_voice(str(voice), tmp_path / "made", metadata, registry)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["version"] == "1.2"
    assert project["description"] == 'Says "hello" \\o/ 👋'
    assert project["license"] == "CC0-1.0"
    needs = [one.partition(">")[0] for one in project["dependencies"]]
    assert needs == ["allophone[torch]", "toys"]
    hooks = (folder / "allophone_voice_tim" / "hooks.py").read_text()
    assert 'language="en-gb"' in hooks
    assert (folder / "LICENSE").read_text() == (voice / "LICENSE").read_text()
    assert (folder / "README.md").read_text() == (voice / "README.md").read_text()


def test_an_exported_voice_takes_what_lies_beside_it(voice, registry, installed, tmp_path):
    from allophone.inference.exporting import export_voice

    export_voice(voice, tmp_path / "a.tones", "tones", registry)
    (tmp_path / "a.tones.parts").mkdir()
    folder = package_voice(
        str(tmp_path / "a.tones"),
        tmp_path,
        PackageMetadata(name="ann", licence="CC0-1.0"),
        registry,
    )
    copied = sorted(path.name for path in (folder / "allophone_voice_ann" / "voice").iterdir())
    assert copied == ["a.tones", "a.tones.gain"]
    assert load("ann", registry=installed(folder)).say("Hello.").seconds > 0


def test_a_voice_without_a_licence_is_refused(registry, tmp_path):
    stored = toys.stored_voice()
    about = About(name="tim", licence="not stated")
    unstated = evolve(stored, description=evolve(stored.description, about=about))
    toys.write_voice(tmp_path / "tim", unstated, registry=registry)
    with pytest.raises(UserError, match=r"does not state its licence[^$]*--licence"):
        package_voice(str(tmp_path / "tim"), tmp_path, PackageMetadata(), registry)
    folder = package_voice(
        tmp_path / "tim", tmp_path, PackageMetadata(licence="CC-BY-4.0"), registry
    )
    inner = folder / "allophone_voice_tim" / "voice" / "tim"
    for path in (folder, inner):
        for name in ("README.md", "LICENSE"):
            text = (path / name).read_text()
            assert "CC-BY-4.0" in text
            assert "not stated" not in text
    assert tomllib.loads((inner / "voice.toml").read_text())["about"]["licence"] == "CC-BY-4.0"


def test_a_licence_that_spdx_does_not_know_is_in_its_file(voice, registry, tmp_path):
    folder = package_voice(voice, tmp_path, PackageMetadata(licence="For friends"), registry)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["license"] == "LicenseRef-in-LICENSE"
    assert (folder / "LICENSE").read_text() == "For friends\n"


@pytest.mark.usefixtures("as_default")
def test_another_projects_checkpoint_becomes_a_voice_folder(registry, installed, tmp_path):
    (tmp_path / "voice.toy").write_text("0.25")
    folder = package_voice(tmp_path / "voice.toy", tmp_path, PackageMetadata(name="tom"), registry)
    files = folder / "allophone_voice_tom" / "voice" / "tom"
    assert (files / "model.safetensors").is_file()
    assert load("tom", registry=installed(folder)).say("Hello.").seconds > 0


@pytest.mark.parametrize("version", ["", "one", "1.2 beta four"])
def test_versions_that_pip_does_not_know_are_refused(voice, registry, tmp_path, version):
    with pytest.raises(UserError, match="Invalid version"):
        package_voice(voice, tmp_path, PackageMetadata(version=version), registry)
    assert [path.name for path in tmp_path.iterdir()] == ["tim"]


def test_a_voice_whose_name_a_package_cannot_have_needs_another(registry, tmp_path):
    toys.write_voice(tmp_path / "tim", toys.stored_voice(name="en_US-Tim"), registry=registry)
    with pytest.raises(UserError, match=r"'en_US-Tim', is not a valid package name[^$]*--name"):
        package_voice(tmp_path / "tim", tmp_path, PackageMetadata(), registry)
    assert package_voice(tmp_path / "tim", tmp_path, PackageMetadata(name="tim"), registry).is_dir()


@pytest.mark.parametrize("name", ["Tim", "a b", "../x", "ä", "", "allophone-tim"])
def test_names_that_cannot_be_one_are_refused(voice, registry, tmp_path, name):
    with pytest.raises(UserError, match="name|called"):
        package_voice(str(voice), tmp_path, PackageMetadata(name=name), registry)
    assert [path.name for path in tmp_path.iterdir()] == ["tim"]


def test_nothing_is_replaced(voice, registry, tmp_path):
    package_voice(str(voice), tmp_path, PackageMetadata(), registry)
    with pytest.raises(UserError, match="already exists"):
        package_voice(str(voice), tmp_path, PackageMetadata(), registry)


@pytest.mark.skipif(find_spec("hatchling") is None, reason="needs hatchling, which builds it")
def test_it_builds_and_holds_its_files(voice, registry, tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("*.safetensors\n")
    folder = package_voice(str(voice), tmp_path, PackageMetadata(), registry)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "allophone_voice_tim/voice/tim/model.safetensors" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
