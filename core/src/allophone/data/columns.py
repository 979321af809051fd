"""Tables in one file, column by column, read through a memory map that all processes share.

    header     JSON, padded with spaces: the columns and what else the writer says of them
    columns    one after the other, each from a multiple of 64 bytes on

For indexes of what other files hold, which are written again when those change. Imports NumPy.
"""

from __future__ import annotations

import json
import mmap
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from allophone.errors import UserError
from allophone.files.atomic import atomic_write

_ALIGNMENT = 64
_MAGIC = b"allophone columns 1\n"
_LENGTH = 16
"""Digits of the length of the header, which comes after the magic line."""
_COPIED = 1 << 24


class Columns:
    """The columns of a file, as read-only arrays that are read from the disk when they are used.

    header: what the writer said of them.
    """

    def __init__(self, path: Path) -> None:
        """Open a file. Raises ValueError if it is not one of columns or is truncated, and OSError."""
        self._path = path
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        content = np.frombuffer(self._map, np.uint8)
        start = len(_MAGIC) + _LENGTH
        if bytes(content[: len(_MAGIC)]) != _MAGIC:
            raise ValueError(f"{path} is not a file of columns of this version")
        described = json.loads(
            bytes(content[start : start + int(bytes(content[len(_MAGIC) : start]))])
        )
        self.header: dict[str, Any] = described["header"]
        self._token: str = described["token"]
        self._arrays: dict[str, NDArray[Any]] = {}
        for name, (dtype, offset, count) in described["columns"].items():
            end = offset + np.dtype(dtype).itemsize * count
            if end > len(content):
                raise ValueError(f"{path} is truncated")
            self._arrays[name] = np.asarray(content[offset:end]).view(dtype)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def release(self) -> None:
        """Give back the memory of what was read so far; the system keeps it in its cache and reads it again if needed."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def __reduce__(self) -> tuple[Any, tuple[Path, str]]:
        """Pickle the path instead of the content: another process maps the same pages."""
        return _reopened, (self._path, self._token)


def _reopened(path: Path, token: str) -> Columns:
    try:
        columns = Columns(path)
    except (OSError, ValueError) as error:
        raise UserError(f"The index {path} cannot be read: {error}") from error
    if columns._token != token:
        raise UserError(
            f"The index {path} was written again while it was in use.",
            hint="Start again. Do not run `allophone prepare` or `extract` on data that is in use.",
        )
    return columns


class ColumnWriter:
    """Collects columns part by part in temporary files, so that memory does not grow with their length."""

    def __init__(self, folder: Path) -> None:
        """Write temporary files to a folder; they have no names, so nothing remains of a killed process."""
        self._folder = folder
        self._files: dict[str, IO[bytes]] = {}
        self._dtypes: dict[str, np.dtype[Any]] = {}
        self._open = ExitStack()

    def __enter__(self) -> ColumnWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    def append(self, name: str, values: NDArray[Any]) -> None:
        """Append values to a column; its type is that of the first values."""
        if name not in self._files:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
            self._files[name] = self._open.enter_context(file)
            self._dtypes[name] = values.dtype.newbyteorder("<")
        self._files[name].write(values.astype(self._dtypes[name], copy=False).tobytes())

    def read(self, name: str) -> NDArray[Any]:
        """Read what a column has so far."""
        file = self._files[name]
        file.seek(0)
        return np.frombuffer(file.read(), self._dtypes[name])

    def save(self, path: Path, header: Mapping[str, Any]) -> None:
        """Write the file, atomically."""
        columns: dict[str, tuple[str, int, int]] = {}
        offset = 0
        for name, file in self._files.items():
            size = file.seek(0, 2)
            columns[name] = (
                self._dtypes[name].str,
                offset,
                size // self._dtypes[name].itemsize,
            )
            offset += size + -size % _ALIGNMENT
        described = _described(columns, header)
        with atomic_write(path) as out:
            out.write(described)
            for file in self._files.values():
                file.seek(0)
                size = 0
                while part := file.read(_COPIED):
                    size += out.write(part)
                out.write(bytes(-size % _ALIGNMENT))


def _described(columns: Mapping[str, tuple[str, int, int]], header: Mapping[str, Any]) -> bytes:
    """The beginning of a file; offsets are given relative to its end."""
    token = secrets.token_hex(8)
    size = 0
    while True:
        shifted = {
            name: (dtype, offset + size, count) for name, (dtype, offset, count) in columns.items()
        }
        described = {"token": token, "columns": shifted, "header": header}
        content = json.dumps(described, ensure_ascii=False).encode()
        start = _MAGIC + f"{len(content):0{_LENGTH}d}".encode() + content
        whole = len(start) + -len(start) % _ALIGNMENT
        if whole <= size:
            return start + b" " * (size - len(start))
        # Larger offsets have more digits.
        size = whole
