"""Metadata, README, licence and version bounds of each distribution."""

from __future__ import annotations

import re
import shutil
import tomllib

import pytest
from distributions import HOME, OURS, ROOT, Distribution, bounds, distributions
from mkdocs_pages import CODE
from set_version import set_version

ALL = distributions()
CORE = ALL[0]

EXTRAS = {one.name: set(one.project.get("optional-dependencies", {})) for one in ALL}
EXTRA = re.compile(r"(?P<name>\ballophone(?:-[a-z0-9-]+)?)\[(?P<extras>[a-z][a-z0-9,]*)\]")

each = pytest.mark.parametrize("one", ALL, ids=lambda one: one.place)


def readme(folder):
    return (folder / "README.md").read_text("utf-8")


def test_all_distributions_are_found():
    assert len({one.name for one in ALL}) == len(ALL) > 10
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert set(workspace["tool"]["uv"]["sources"]) == {one.name for one in ALL}


@each
def test_metadata_for_the_package_index(one):
    project = one.project
    for shared in ("requires-python", "license-files", "authors"):
        assert project[shared] == CORE.project[shared], shared
    code, *of_weights = project["license"].split(" AND ")
    assert code == CORE.project["license"]
    assert not of_weights or one.place == "plugins/asterisk", "only a voice has other licences"
    urls = dict(CORE.project["urls"])
    assert project["urls"] == {**urls, "Source": f"{HOME}/{one.place}"}
    assert project["readme"] == "README.md"
    assert 20 < len(project["description"]) < 120
    assert {"text-to-speech", "tts"} <= set(project["keywords"])
    shared = {line for line in CORE.project["classifiers"] if not line.startswith("Operating")}
    assert shared - {"Programming Language :: C"} <= set(project["classifiers"])
    assert not any(line.startswith("License") for line in project["classifiers"]), (
        "indexes refuse a licence's classifier beside its expression"
    )


@each
def test_licence_and_py_typed_are_included(one):
    assert (one.folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (one.package / "py.typed").is_file()
    assert [
        path.name for path in (one.folder / "src").iterdir() if (path / "py.typed").exists()
    ] == [one.package.name]


@each
def test_the_readme_can_be_read_on_its_own(one):
    text = readme(one.folder)
    assert text.startswith(f"# {one.name}\n")
    assert "pip install" in text
    prose = CODE.sub("", text)
    for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", prose) + re.findall(r"src=\"([^\"]+)", prose):
        assert target.startswith(("https://", "#")), (
            f"{target} leads nowhere outside of the repository"
        )
        if target.startswith(f"{HOME}/"):
            path = target.removeprefix(f"{HOME}/").partition("#")[0]
            assert (ROOT / path).exists(), f"{target}: there is no {path} in the repository"
    assert "![" not in prose
    assert not re.search(r"\bhttp://(?!127\.0\.0\.1)", text)


@each
def test_versions_are_equal_and_bounded(one):
    assert one.version == CORE.version
    for required in one.requirements():
        if ours := OURS.fullmatch(required):
            assert ours["name"] in EXTRAS, (
                f"{one.name} requires {required}, which is not in this repository"
            )
            wanted = set(filter(None, (ours["extras"] or "").strip("[]").split(",")))
            assert wanted <= EXTRAS[ours["name"]], f"there is no such extra: {required}"
            expected = "" if ours["name"] == one.name else one.bounds(one.version)
            assert ours["bounds"] == expected, f"{one.place}: run make version V={one.version}"


@each
def test_extras_in_the_documentation_exist(one):
    files = [*one.folder.glob("*.md"), *one.package.rglob("*.py")]
    if one is CORE:
        files += [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    for file in files:
        for found in EXTRA.finditer(file.read_text("utf-8")):
            if found["name"] in EXTRAS:  # not a name used in an example
                declared = EXTRAS[found["name"]]
                assert set(found["extras"].split(",")) <= declared, f"{file}: {found[0]}"


def test_the_readme_lists_all_plugins():
    listed = re.findall(r"^\| \[`(.+?)`\]\((.+?)/README.md\) ", readme(ROOT), re.MULTILINE)
    assert sorted(listed) == sorted((one.name, one.place) for one in ALL[1:])


@each
def test_the_readme_lists_all_extras(one):
    table = readme(one.folder).partition("\n| extra |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"^\| `([a-z0-9]+)` ", table, re.MULTILINE))
    if listed:
        assert listed | {"testing"} == EXTRAS[one.name] | {"testing"}


@pytest.mark.parametrize("one", ALL[1:], ids=lambda one: one.place)
def test_every_plugin_runs_the_plugin_contract(one):
    (point,) = one.project["entry-points"]["allophone.plugins"]
    written = [path.read_text("utf-8") for path in (one.folder / "tests").glob("test_*.py")]
    assert any(re.search(rf'\(PluginContract\):\n +plugin = "{point}"\n', text) for text in written)


def test_the_changelog_has_the_version():
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(rf"^## \[{re.escape(CORE.version)}\]", changelog, re.MULTILINE)


@pytest.mark.parametrize(
    ("version", "expected"),
    [("0.1.0", ">=0.1,<0.2"), ("0.12.3", ">=0.12,<0.13"), ("1.2.0rc1", ">=1.2,<2")],
)
def test_version_bounds(version, expected):
    assert bounds(version) == expected


def test_set_version_changes_every_pyproject(tmp_path, monkeypatch):
    folders = []
    for place in ("core", "plugins/vits2", "plugins/testing"):
        folders.append(tmp_path / place)
        folders[-1].mkdir(parents=True)
        shutil.copy(ROOT / place / "pyproject.toml", folders[-1])
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    copies = [Distribution(folder) for folder in folders]
    monkeypatch.setattr("set_version.ROOT", tmp_path)
    monkeypatch.setattr("set_version.distributions", lambda: copies)
    set_version("0.2.0")
    core, vits2, suite = (Distribution(folder) for folder in folders)
    assert core.version == vits2.version == suite.version == "0.2.0"
    assert "allophone==0.2.0" in suite.requirements()
    own = "allophone-vits2[export]"
    assert own in vits2.requirements(), "its own extras need no bounds"
    ours = [one for one in vits2.requirements() if OURS.fullmatch(one) and one != own]
    assert "allophone[torch]>=0.2,<0.3" in ours
    assert all(required.endswith(">=0.2,<0.3") for required in ours)
    assert {"allophone", "allophone-vits", "attrs>=24.1"} <= {
        required.partition("[")[0].removesuffix(">=0.2,<0.3") for required in vits2.requirements()
    }
    assert 'version = "0.2.0"' in (tmp_path / "pyproject.toml").read_text("utf-8")
