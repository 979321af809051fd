"""Folders that one process at a time writes to. Light.

The lock is one of the system (flock) on the file `.lock`: it is gone when the process is, however that
ends. On network folders it holds between machines where the server has locks: NFS 4, and NFS 3 with
lockd; Lustre when mounted with `flock`. Where it cannot be had a warning is logged, and nothing is locked.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from allophone.errors import UserError
from allophone.files.parsing import parse_json_object
from allophone.files.system_errors import errors_naming

_log = logging.getLogger(__name__)

_LOCK = ".lock"
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
_IMPOSSIBLE = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)

_descriptors: set[int] = set()
"""The locks of this process."""


@contextmanager
def folder_locked(folder: Path, *, part: str = "") -> Iterator[None]:
    """Have a folder, or the part of it with some name, to oneself; the folder is made where it is not there.

    Raises UserError that tells who has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / f"{_LOCK}{part}", folder, wait=False):
        yield


@contextmanager
def name_locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Have a file or folder that is yet to be written to oneself.

    wait: for whoever has it, instead of a UserError that tells who does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.with_name(f".{path.name}{_LOCK}"), path, wait=wait):
        yield


@contextmanager
def _locked(file: Path, what: Path, *, wait: bool) -> Iterator[None]:
    descriptor = _take(file, what, wait=wait)
    if descriptor is None:
        yield
        return
    _descriptors.add(descriptor)
    try:
        with errors_naming(what):
            os.truncate(descriptor, 0)
            os.write(descriptor, _holder())
        yield
    finally:
        if descriptor in _descriptors:
            # While it is still locked: whoever has opened it meanwhile sees that it has lost its name.
            file.unlink(missing_ok=True)
            _descriptors.discard(descriptor)
            os.close(descriptor)


def _take(file: Path, what: Path, *, wait: bool) -> int | None:
    """A locked descriptor of the file; None where it cannot be locked at all."""
    try:
        import fcntl
    except ImportError:
        return None
    while True:
        with errors_naming(what, file):
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if _is_named(descriptor, file):
                return descriptor
            os.close(descriptor)
        except OSError as error:
            held = _read_holder(descriptor) if error.errno in _HELD else None
            os.close(descriptor)
            if held is not None:
                raise _refusal(what, held) from None
            if error.errno not in _IMPOSSIBLE:
                raise
            _log.warning(
                "%s cannot be locked (%s): let nothing else write to it at the same time.",
                what,
                error.strerror,
            )
            return None


def _is_named(descriptor: int, file: Path) -> bool:
    """Whether the file still bears its name: its last holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _holder() -> bytes:
    """What the file says of this process."""
    holder = {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().astimezone().isoformat(" ", "seconds"),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200],
    }
    return json.dumps(holder).encode()


def _read_holder(descriptor: int) -> dict[str, Any]:
    try:
        held = parse_json_object(os.pread(descriptor, 4096, 0), "The lock")
    except (OSError, UserError):
        # It has only just been locked, or the network folder does not let others read it.
        return {}
    return held if held.keys() >= {"process", "host", "since", "command"} else {}


def _refusal(what: Path, holder: dict[str, Any]) -> UserError:
    who = "another process"
    if holder:
        who = "process {process} on {host}, since {since} ({command})".format(**holder)
    return UserError(
        f"{what} is being written by {who}.",
        hint="Wait until it has ended, or write to another place.",
    )


def _let_go() -> None:
    """Close, in a process that was forked, the locks of its parent, which it would hold on to."""
    for descriptor in _descriptors:
        os.close(descriptor)
    _descriptors.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
