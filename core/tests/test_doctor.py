"""`allophone doctor`: each trouble is found, is told apart from the others, and has an advice."""

from __future__ import annotations

import json
import shutil
import sys
import types
from importlib import metadata

import pytest
from click.testing import CliRunner

from allophone.cli import doctor_checks
from allophone.cli.doctor import command
from allophone.entries import ModelEntry
from allophone.hookspecs import hookimpl
from allophone.registry import build_registry


def plugin(**fields):
    module = types.ModuleType("inline")
    module.CONTRACT = 1
    entry = ModelEntry(
        name="toy",
        summary="A toy.",
        **{"config": "attrs:frozen", "synthesizer": "attrs:define", **fields},
    )
    module.allophone_models = hookimpl(lambda: [entry])
    module.allophone_models.__name__ = "allophone_models"
    return module


def findings(registry):
    return {finding.check: finding for finding in doctor_checks.examine(registry)}


def test_all_parts_are_examined_and_every_trouble_has_an_advice():
    found = findings(build_registry({"toy": plugin()}))
    assert {*doctor_checks.CHECKS, "plugin core", "plugin toy"} <= set(found)
    for name in ("python", "packages", "torch", "torchaudio", "alignment", "plugin toy"):
        assert found[name].status == "ok", found[name]
    for finding in found.values():
        assert (finding.advice is None) == (finding.status == "ok")


def test_broken_plugins_and_references_are_failures_that_say_what_to_reinstall(monkeypatch):
    monkeypatch.setenv("ALLOPHONE_STRICT_PLUGINS", "1")
    misspelt = types.ModuleType("misspelt")
    misspelt.CONTRACT = 1
    misspelt.allophone_modles = list
    registry = build_registry(
        {"toy": plugin(synthesizer="attrs:no_such_thing"), "misspelt": misspelt}, strict=False
    )
    found = findings(registry)
    assert found["plugin toy"].status == "failure"
    assert "toy: synthesizer attrs:no_such_thing" in found["plugin toy"].found
    assert found["plugin misspelt"].status == "failure"
    assert "allophone_modles" in found["plugin misspelt"].found
    assert "allophone_models" in found["plugin misspelt"].advice
    assert "attrs:no_such_thing" not in found["plugin toy"].advice


def test_conflicts_are_failures_and_disabled_plugins_are_not(monkeypatch):
    monkeypatch.setenv("ALLOPHONE_DISABLE_PLUGINS", "off")
    plugins = {"first": plugin(), "second": plugin(), "off": plugin()}
    found = findings(build_registry(plugins, strict=False))
    assert found["plugin first"].status == "ok"
    assert found["plugin second"].status == "failure"
    assert "The model 'toy' is offered by" in found["plugin second"].found
    assert "ALLOPHONE_DISABLE_PLUGINS=off,second" in found["plugin second"].advice
    assert (found["plugin off"].status, found["plugin off"].found) == ("ok", "off, disabled")


def test_packages_that_do_not_fit_are_named_with_the_command_that_mends_them(monkeypatch):
    real = metadata.version

    def version(name):
        if name == "toml":
            raise metadata.PackageNotFoundError(name)
        return "2.15.0" if name == "torch" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    found = doctor_checks.check_packages()
    assert found.status == "failure"
    assert "torch is 2.15.0" in found.found
    assert "toml is missing" in found.found
    assert found.advice.startswith("pip install 'toml>=")
    assert "'torch" in found.advice


def test_a_torchaudio_that_does_not_fit_its_torch_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    found = doctor_checks.check_torchaudio()
    assert found.status == "failure"
    assert "not compatible with torch 2." in found.found
    assert "torchaudio==" in found.advice


def test_a_missing_extension_is_a_failure(monkeypatch):
    from allophone.alignment import search

    monkeypatch.setitem(sys.modules, "allophone.alignment._search", None)
    search._extension.cache_clear()
    try:
        found = {finding.check: finding for finding in doctor_checks.examine()}["alignment"]
    finally:
        search._extension.cache_clear()
    assert found.status == "failure"
    assert "compiler" in found.advice


def test_a_cache_that_cannot_be_written_to_is_a_failure(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    found = doctor_checks.check_cache()
    assert found.status == "failure"
    assert str(tmp_path / "file") in found.found
    assert "XDG_CACHE_HOME" in found.advice


@pytest.mark.parametrize(("free", "status"), [(50e9, "ok"), (5e9, "warning"), (0.5e9, "failure")])
def test_little_disk_space_is_told(monkeypatch, free, status):
    usage = types.SimpleNamespace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert doctor_checks.check_disk().status == status


def test_a_gpu_that_torch_cannot_use_is_a_warning(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor_checks.Path, "exists", lambda path: "nvidia" in str(path))
    assert doctor_checks.check_gpu().status == "warning"
    monkeypatch.setattr(doctor_checks.Path, "exists", lambda path: False)
    assert doctor_checks.check_gpu().status == "ok"


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warning", 0), ("failure", 1)])
def test_the_command_fails_when_something_fails(monkeypatch, status, code):
    row = doctor_checks.Finding(
        check="thing", status=status, found="[brackets] stay", advice="Mend it."
    )
    monkeypatch.setattr(doctor_checks, "examine", lambda: iter([row]))
    shown = CliRunner().invoke(command)
    assert shown.exit_code == code
    assert all(word in shown.output for word in ("thing", status, "[brackets] stay", "Mend it."))
    plain = CliRunner().invoke(command, ["--json"])
    assert plain.exit_code == code
    assert json.loads(plain.output) == [
        {"check": "thing", "status": status, "found": "[brackets] stay", "advice": "Mend it."}
    ]
