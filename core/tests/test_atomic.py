"""Files and folders that are whole or not there."""

from __future__ import annotations

import os
import stat

import pytest

from allophone.errors import UserError
from allophone.files.atomic import atomic_folder, atomic_path, atomic_write


def test_a_file_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def half():
        with atomic_write(path) as file:
            file.write(b"ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_others_may_read_what_a_private_writer_made(tmp_path):
    def private(name):
        descriptor = os.open(name, os.O_CREAT | os.O_WRONLY, 0o600)
        os.close(descriptor)

    before = os.umask(0o022)
    try:
        with atomic_path(tmp_path / "file") as temporary:
            private(temporary)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_a_folder_appears_when_it_is_filled(tmp_path):
    with atomic_folder(tmp_path / "new") as folder:
        (folder / "inside").write_text("x")
        assert not (tmp_path / "new").exists()
    assert os.listdir(tmp_path) == ["new"]
    assert os.listdir(tmp_path / "new") == ["inside"]


def test_a_folder_that_fails_leaves_nothing(tmp_path):
    def half():
        with atomic_folder(tmp_path / "new") as folder:
            (folder / "half").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_there_is_not_touched(tmp_path):
    (tmp_path / "old").mkdir()
    with pytest.raises(UserError, match="already exists"), atomic_folder(tmp_path / "old"):
        pass
