"""Indexes of a data directory: made once by one process, used by all, made again when they are stale."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from allophone.data.columns import Columns, ColumnWriter
from allophone.data.digests import digest_of
from allophone.files.cache import cache_folder
from allophone.files.locks import name_locked

_log = logging.getLogger(__name__)

INDEX = "index"
"""The folder of the indexes in a data directory. It can be deleted at any time."""


def open_index(
    directory: Path,
    name: str,
    is_current: Callable[[Columns], bool],
    write: Callable[[ColumnWriter], dict[str, Any]],
) -> Columns:
    """Open an index of a data directory; write it first if there is none, or it is stale.

    is_current: whether an index is of the data as they are now.
    write: writes the columns and returns the header. While one process writes, the others wait.

    The index of a data directory that cannot be written to is kept in the user's cache.
    """
    own = directory / INDEX
    elsewhere = cache_folder() / INDEX / digest_of(str(directory.resolve()))
    folder = own if _is_writable(own) else elsewhere
    path = folder / f"{name}.columns"
    for place in dict.fromkeys((own / path.name, path)):
        if columns := _current(place, is_current):
            return columns
    with name_locked(path, wait=True):
        columns = _current(path, is_current)
        if columns is None:
            with ColumnWriter(folder) as out:
                header = write(out)
                out.save(path, header)
            columns = Columns(path)
    return columns


def _current(path: Path, is_current: Callable[[Columns], bool]) -> Columns | None:
    try:
        columns = Columns(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("The index %s is made again: %s", path, error)
        return None
    return columns if is_current(columns) else None


def _is_writable(folder: Path) -> bool:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)
