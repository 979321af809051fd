"""The Dockerfile and the compose file of the server: what they name exists. They are not built here."""

from __future__ import annotations

import json
import re
import shlex

import pytest
import yaml
from distributions import OURS, ROOT, distributions

from allophone_serve.command import command

FOLDER = ROOT / "plugins" / "serve" / "docker"
DOCKERFILE = (FOLDER / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
SERVICES = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))["services"]
INSTRUCTIONS = [
    line.split(" ", 1) for line in DOCKERFILE.splitlines() if re.match(r"[A-Z]+ ", line)
]
DEFAULT = shlex.split(dict(INSTRUCTIONS)["ARG"])[0].removeprefix("PACKAGES=")


def instruction(name):
    return [words for found, words in INSTRUCTIONS if found == name]


def test_known_instructions_only():
    known = "FROM RUN WORKDIR COPY ARG USER ENV EXPOSE HEALTHCHECK ENTRYPOINT CMD"
    assert {name for name, _ in INSTRUCTIONS} <= set(known.split())
    lines = [
        line for line in DOCKERFILE.splitlines() if line and not line.startswith(("#", "    "))
    ]
    assert len(lines) == len(INSTRUCTIONS)


def test_what_is_copied_exists():
    copied = [words.split() for words in instruction("COPY") if "--from" not in words]
    assert copied
    assert all((ROOT / source).is_dir() for source, _ in copied)


@pytest.mark.parametrize(
    "packages",
    [
        DEFAULT,
        *(one["build"].get("args", {}).get("PACKAGES", DEFAULT) for one in SERVICES.values()),
    ],
)
def test_all_of_ours_that_is_needed_is_installed(packages):
    """Nothing is on an index: what an installed package requires of ours must be installed with it."""
    by_place = {one.place: one for one in distributions()}
    places = ["core", "plugins/serve", *(f"plugins/{name}" for name in packages.split())]
    installed = {by_place[place].name for place in places}
    for place in places:
        for required in by_place[place].project.get("dependencies", ()):
            if ours := OURS.fullmatch(required):
                assert ours["name"] in installed, f"{place} needs {required}"


def test_the_commands_can_be_parsed():
    (entry,) = map(json.loads, instruction("ENTRYPOINT"))
    assert entry[:2] == ["allophone", "serve"]
    (default,) = map(json.loads, instruction("CMD"))
    for words in (default, *(one["command"] for one in SERVICES.values())):
        command.make_context("serve", [*entry[2:], *words])


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_services_build_from_the_checkout_and_publish_to_this_machine_only(service):
    build = service["build"]
    assert (FOLDER / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    exposed = instruction("EXPOSE")[0].split()
    assert service["ports"] == [f"127.0.0.1:{port}:{port}" for port in exposed]


def test_the_user_is_not_root():
    assert instruction("USER") == ["allophone"]
