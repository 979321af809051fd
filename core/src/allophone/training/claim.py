"""Having the folder of a run to oneself, and what is done about the checkpoints that are in it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from allophone.errors import UserError
from allophone.files.locks import folder_locked
from allophone.files.run_folder import (
    CHECKPOINTS,
    CONFIG,
    METRICS,
    SET_ASIDE,
    VOCABULARY,
    Checkpoint,
    checkpoints,
)
from allophone.training.checkpoint import remove_incomplete

_log = logging.getLogger(__name__)


@contextmanager
def claimed(folder: Path, resume: Checkpoint | None, *, overwrite: bool = False) -> Iterator[None]:
    """Have the folder of a run to oneself while inside, without checkpoints beyond the one to go on from.

    overwrite: set such checkpoints aside.
    Raises UserError where another process trains in it, and for such checkpoints otherwise.
    """
    with folder_locked(folder):
        remove_incomplete(folder)
        if overwrite:
            _set_aside(folder, resume)
        check_folder(folder, resume)
        yield


def check_folder(folder: Path, resume: Checkpoint | None) -> None:
    """Raise UserError if checkpoints would be overwritten: another run's, or later ones of this run."""
    existing = checkpoints(folder)
    if existing and resume is None:
        raise UserError(
            f"{folder} already contains a run, at step {existing[-1].step}.",
            hint="Continue it with --resume, choose another folder with --run, or set its checkpoints "
            "aside with --overwrite.",
        )
    if resume and existing and existing[-1].step > resume.step:
        raise UserError(
            f"{folder} has checkpoints up to step {existing[-1].step}, after {resume.path.name}.",
            hint="Choose another folder with --run, or set the later checkpoints aside with --overwrite.",
        )


def _set_aside(folder: Path, resume: Checkpoint | None) -> None:
    """Move the checkpoints beyond `resume`, or all, to a run of their own below the folder."""
    later = [one for one in checkpoints(folder) if resume is None or one.step > resume.step]
    if not later:
        return
    aside = folder / SET_ASIDE / datetime.now().strftime("%Y-%m-%d-%H%M%S-%f")
    (aside / CHECKPOINTS).mkdir(parents=True)
    for name in (CONFIG, VOCABULARY, METRICS):
        if (folder / name).is_file():
            shutil.copy2(folder / name, aside / name)
    for one in later:
        one.path.rename(aside / CHECKPOINTS / one.path.name)
    steps = f"step {later[0].step}"
    if len(later) > 1:
        steps = f"steps {later[0].step} to {later[-1].step}"
    _log.warning("The checkpoints of %s were set aside: %s", steps, aside)
