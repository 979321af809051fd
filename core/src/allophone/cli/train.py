"""`allophone train`: train, resume or fine-tune a model."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from allophone.cli.options import stage_option
from allophone.errors import UserError

if TYPE_CHECKING:
    from allophone.config import Resolved
    from allophone.registry import Registry
    from allophone.run_folder import Checkpoint

_log = logging.getLogger(__name__)


@click.command("train")
@click.argument("recipe", required=False)
@click.option(
    "--run",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the run: checkpoints, logs, its configuration.",
)
@stage_option
@click.option(
    "--devices", help="GPUs by number, as in 0,1, or cpu. [default: the first GPU, or cpu]"
)
@click.option("--processes", type=click.IntRange(min=1), help="With --devices cpu: how many ranks.")
@click.option("--max-steps", type=click.IntRange(min=1), help="Stop after so many optimizer steps.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="latest",
    metavar="[CHECKPOINT]",
    help="Go on from the run's latest checkpoint, or from the one that is given.",
)
@click.option(
    "--finetune",
    metavar="PLACE",
    help="Begin with the weights of a run, a checkpoint or a voice, where they fit.",
)
@click.option("--compile", "compiled", is_flag=True, help="Compile the modules with torch.compile.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="A.B=VALUE",
    help="Set one value of the configuration; may be repeated.",
)
def command(
    recipe: str | None,
    folder: Path,
    stage: str | None,
    devices: str | None,
    processes: int | None,
    max_steps: int | None,
    resume: str | None,
    finetune: str | None,
    compiled: bool,
    overrides: tuple[str, ...],
) -> None:
    """Train RECIPE (a recipe's name or a TOML file) in the folder of a run.

    With --resume the run knows its own configuration, and RECIPE is left out. Ctrl-C, or SIGTERM,
    saves a checkpoint after the current step and ends; a second one ends at once.

    To train on several GPUs name them (--devices 0,1), or start this under torchrun or srun.
    """
    from allophone.registry import default_registry
    from allophone.training.launch import (
        device_of,
        find_place,
        join,
        parse_devices,
        reported_to_launcher,
        start,
    )
    from allophone.training.loop import train
    from allophone.training.run import check_folder, open_run

    registry = default_registry()
    place = find_place()
    with reported_to_launcher():
        checkpoint = _checkpoint(folder, resume, recipe, stage, finetune)
        check_folder(folder, checkpoint)
        source = _source(finetune, registry) if finetune else None
        said = [*overrides, *([f"runtime.max_steps={max_steps}"] if max_steps else [])]
        said += ["runtime.compile=true"] if compiled else []
        resolved = _resolve(recipe, stage, checkpoint, said, registry)
        if place is None:
            import torch

            chosen = parse_devices(devices, processes)
            if len(chosen) > 1:
                again = "from allophone.cli import main; main()"
                start([sys.executable, "-c", again, *sys.argv[1:]], len(chosen))
                return
            device = torch.device(chosen[0])
        else:
            device = device_of(place, devices)

        with join(place, device) as rank, _shown(rank.first, registry):
            _tell_changes(checkpoint, resolved, said)
            experiment = resolved.experiment
            limit = experiment.runtime.max_steps
            if checkpoint and limit is not None and checkpoint.step >= limit:
                _log.info("%s is at step %d already.", folder, checkpoint.step)
                return
            run = open_run(
                folder,
                experiment,
                rank=rank,
                registry=registry,
                resume=checkpoint,
                finetune=source,
            )
            try:
                reason = train(run)
            except FloatingPointError as error:
                raise UserError(
                    str(error),
                    hint="Resume from the latest checkpoint with a lower learning rate, clipping "
                    "(runtime.clip_norm) or another precision; or look at these recordings.",
                ) from error
            _log.info("Ended at step %d (%s): %s", run.runtime.step, reason, folder)


def _source(place: str, registry: Registry) -> Path:
    """The folder to fine-tune from: a run, a checkpoint, a voice or vocoder, or an installed voice."""
    from allophone.inference.importing import find_or_import

    path = Path(place).expanduser()
    return path if path.is_dir() else find_or_import(path, registry).folder


def _checkpoint(
    folder: Path,
    resume: str | None,
    recipe: str | None,
    stage: str | None,
    finetune: str | None,
) -> Checkpoint | None:
    """The checkpoint to go on from, None for a new run; UserError for arguments that contradict it."""
    from allophone.run_folder import find_checkpoint

    if resume is None:
        if recipe is None:
            raise UserError(
                "There is nothing to train.",
                hint="Give a recipe or a TOML file (`allophone recipes` lists those that are "
                "installed), or go on with a run: --resume",
            )
        return None
    if told := recipe or (stage and f"--stage {stage}"):
        raise UserError(
            f"A resumed run has a configuration of its own, so '{told}' is not read.",
            hint="Leave it out; change single values with --set.",
        )
    if finetune is not None:
        raise UserError(
            "--resume goes on with a run, --finetune begins one.", hint="Leave out one of them."
        )
    return find_checkpoint(folder if resume == "latest" else Path(resume))


def _resolve(
    recipe: str | None,
    stage: str | None,
    checkpoint: Checkpoint | None,
    overrides: Sequence[str],
    registry: Registry,
) -> Resolved:
    """The experiment: the recipe's, or that of the checkpoint, which may need a plugin to be read."""
    from allophone.config import resolve
    from allophone.run_folder import CONFIG, origins

    if checkpoint:
        for origin in origins(checkpoint):
            registry.find(origin.kind, origin.name, distribution=origin.distribution)
        return resolve(checkpoint.path / CONFIG, overrides, registry=registry)
    assert recipe is not None
    resolved = resolve(recipe, overrides, stage=stage, registry=registry)
    if resolved.stages and stage is None:
        raise UserError(
            f"{recipe} is trained in several runs: {', '.join(resolved.stages)}.",
            hint=f"Say which with --stage, as in --stage {resolved.stages[0]}, each with a --run of its own.",
        )
    return resolved


def _tell_changes(
    checkpoint: Checkpoint | None, resolved: Resolved, overrides: Sequence[str]
) -> None:
    """Say which values of a resumed run are not what they were."""
    from allophone.config import read_toml
    from allophone.config.tables import leaves
    from allophone.run_folder import CONFIG

    if checkpoint is None:
        return
    _log.info("Resuming from %s.", checkpoint.path)
    before = dict(leaves(read_toml(checkpoint.path / CONFIG))) if overrides else {}
    for path, value in leaves(resolved.plain) if overrides else ():
        if before.get(path) != value:
            _log.info("Changed: %s = %s (was %s)", path, value, before.get(path, "not set"))


@contextmanager
def _shown(first: bool, registry: Registry) -> Iterator[None]:
    """Show on the terminal how the run goes: of rank 0 everything, of the others what goes wrong."""
    from allophone.cli.console import status
    from allophone.cli.training_display import StatusHandler, TrainingDisplay
    from allophone.training.observers import plugged_in

    logger = logging.getLogger("allophone")
    logger.setLevel(logging.INFO if first else logging.ERROR)
    handler = StatusHandler(status)
    logger.addHandler(handler)
    try:
        with plugged_in(registry, *([TrainingDisplay(status)] if first else [])):
            yield
    finally:
        logger.removeHandler(handler)
