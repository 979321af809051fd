"""What the operating system refuses, told in a sentence: full disks, read-only folders, killed processes. Light.

Commands let such errors rise; the command line and the launcher of ranks ask `told` about each.
"""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from allophone.errors import UserError
from allophone.processes.lifetime import ProcessKilledError

_FULL = "Free some space, or write to another disk. What was finished before is kept."
_FORBIDDEN = "Give a place that you may write to, or change its permissions."

_SENTENCES = {
    errno.ENOSPC: ("No space is left on the disk", _FULL),
    errno.EDQUOT: ("Your quota on the disk is used up", _FULL),
    errno.EFBIG: ("A file would be larger than the disk or a limit allows (ulimit -f)", _FULL),
    errno.EROFS: ("The disk is mounted read-only", "Write to another place."),
    errno.EACCES: ("Permission denied", _FORBIDDEN),
    errno.EPERM: ("Operation not permitted", _FORBIDDEN),
    errno.ENOTDIR: ("A file lies where a folder is needed", "Give another place."),
    errno.EEXIST: ("A file lies where a folder is needed", "Give another place."),
    errno.EIO: ("The disk failed to read or write", "Look at the disk, or the connection to it."),
    errno.ESTALE: ("The network folder has changed on its server", "Mount it again."),
    errno.EMFILE: ("Too many files are open", "Raise the limit: ulimit -n"),
    errno.ENFILE: ("Too many files are open on this machine", "End other processes."),
}

_OTHERWISE = "ALLOPHONE_TRACEBACK=1 shows where it happened."

_RUST = re.compile(r"\(os error (\d+)\)")
_NUMPY = re.compile(r"\d+ requested and \d+ written")
_WORKER = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (?:is killed by signal: )?(.*)", re.DOTALL
)


def told(error: BaseException) -> UserError | None:
    """An error of the operating system as one for the user; None for any other.

    Looks at what the error was raised from as well, as libraries wrap errors of their own around.
    """
    if isinstance(error, UserError):
        return None
    for each in _chain(error):
        if isinstance(each, RuntimeError) and (found := _WORKER.search(str(each))):
            return _killed_worker(found[1], found[2])
        number = _number(each)
        path = getattr(each, "filename", None)
        if number in _SENTENCES or path is not None:
            said = str(getattr(each, "strerror", None) or each)
            sentence, hint = _SENTENCES.get(number, (said, _OTHERWISE))
            return UserError(
                f"{sentence}: {path}" if path is not None else f"{sentence}.", hint=hint
            )
    return None


@contextmanager
def errors_naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Let errors of the system name what is being written: some name nothing, others its temporary name."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        found = next((one for one in _chain(error) if _number(one)), None)
        if found is None:
            raise
        named = getattr(found, "filename", None)
        if named is not None and not (temporary and str(named).startswith(str(temporary))):
            raise
        number = _number(found)
        raise OSError(number, os.strerror(number), str(path)) from error


def _chain(error: BaseException) -> Iterator[BaseException]:
    following: BaseException | None = error
    while following is not None:
        yield following
        # PyTorch raises a RuntimeError while it handles what a write has raised, not from it.
        handled = following.__context__ if isinstance(following, RuntimeError) else None
        following = following.__cause__ or handled


def _number(error: BaseException) -> int:
    """The number of an error of the system, also as libraries write it into their messages; 0 for others."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if found := _RUST.search(str(error)):
        return int(found[1])
    # NumPy does not tell why it could not write the whole of an array.
    return errno.ENOSPC if _NUMPY.search(str(error)) else 0


def _killed_worker(process: str, said: str) -> ProcessKilledError:
    names = {signal.strsignal(number): number.name for number in signal.Signals}
    what, _, more = said.strip().partition(".")
    how = f"was killed by {names[what]}" if what in names else what
    return ProcessKilledError(
        f"A data worker (process {process}) {how}.",
        hint=more.strip()
        or "The system may have run out of memory: fewer data.batching.workers, each holds batches. "
        "--resume goes on from the latest checkpoint; --max-restarts 3 does so by itself.",
    )
