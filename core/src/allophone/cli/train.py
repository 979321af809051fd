"""`allophone train`: trains, resumes or fine-tunes a model."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from allophone.cli.options import stage_option
from allophone.errors import UserError

if TYPE_CHECKING:
    from allophone.config import Resolved
    from allophone.files.run_folder import Checkpoint
    from allophone.registry import Registry

_log = logging.getLogger(__name__)


@click.command("train")
@click.argument("recipe", required=False)
@click.option(
    "--run",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the run, for checkpoints, logs and its configuration.",
)
@stage_option
@click.option(
    "--devices", help="GPU numbers, such as 0,1, or cpu.  [default: the first GPU, else cpu]"
)
@click.option(
    "--processes", type=click.IntRange(min=1), help="The number of ranks, with --devices cpu."
)
@click.option(
    "--max-steps", type=click.IntRange(min=1), help="Stop after this many optimizer steps."
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value="latest",
    metavar="[CHECKPOINT]",
    help="Resume from the run's latest checkpoint, or from the given one.",
)
@click.option(
    "--finetune",
    metavar="PLACE",
    help="Initialize the weights from a run, a checkpoint or a voice, where they fit.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Set aside the checkpoints that the folder has beyond the one to go on from.",
)
@click.option(
    "--max-restarts",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Start again, from the latest checkpoint, so often when a process is killed or crashes.",
)
@click.option("--compile", "compiled", is_flag=True, help="Compile the modules with torch.compile.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="A.B=VALUE",
    help="Override a value of the configuration; may be repeated.",
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
    overwrite: bool,
    max_restarts: int,
    compiled: bool,
    overrides: tuple[str, ...],
) -> None:
    """Train RECIPE (the name of a recipe or a TOML file) in a run folder.

    With --resume, the configuration is read from the run; omit RECIPE. Ctrl-C or SIGTERM saves a checkpoint
    after the current step and exits; a third one exits immediately.

    To train on several GPUs, list them (--devices 0,1), or use torchrun or srun.
    """
    from allophone.files.run_folder import checkpoints
    from allophone.registry import default_registry
    from allophone.training.claim import check_folder, claimed
    from allophone.training.distributed import (
        local_device,
        parse_devices,
        process_group,
        read_distributed_env,
    )
    from allophone.training.launch import launch, reported_to_launcher, was_restarted
    from allophone.training.loop import train
    from allophone.training.run import open_run
    from allophone.training.signals import stop_on_signals

    registry = default_registry()
    env = read_distributed_env()
    with stop_on_signals() as stop, reported_to_launcher():
        if env and was_restarted() and checkpoints(folder):
            recipe, stage, resume, finetune = None, None, "latest", None
        checkpoint = _checkpoint(folder, resume, recipe, stage, finetune)
        if not overwrite:
            check_folder(folder, checkpoint)
        source = _source(finetune, registry) if finetune else None
        settings = [*overrides, *([f"runtime.max_steps={max_steps}"] if max_steps else [])]
        settings += ["runtime.compile=true"] if compiled else []
        resolved = _resolve(recipe, stage, checkpoint, settings, registry)
        if env is None:
            import torch

            chosen = parse_devices(devices, processes)
            if len(chosen) > 1 or max_restarts:
                with _display(True, registry):
                    # Checked before the ranks are started; the main rank claims the folder again.
                    with claimed(folder, checkpoint, overwrite=overwrite):
                        pass
                    again = "from allophone.cli import main; main()"
                    command = [sys.executable, "-c", again, *sys.argv[1:]]
                    launch(command, len(chosen), max_restarts=max_restarts)
                return
            device = torch.device(chosen[0])
        else:
            device = local_device(env, devices)

        with (
            process_group(env, device) as rank,
            _display(rank.is_main, registry),
            claimed(folder, checkpoint, overwrite=overwrite) if rank.is_main else nullcontext(),
        ):
            _log_changes(checkpoint, resolved, settings)
            experiment = resolved.experiment
            limit = experiment.runtime.max_steps
            if checkpoint and limit is not None and checkpoint.step >= limit:
                _log.info("%s is already at step %d.", folder, checkpoint.step)
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
                reason = train(run, stop)
            except FloatingPointError as error:
                raise UserError(
                    str(error),
                    hint="Resume from the latest checkpoint with a lower learning rate, gradient clipping "
                    "(runtime.clip_norm) or another precision, or check these recordings.",
                ) from error
            _log.info("Finished at step %d (%s): %s", run.runtime.step, reason, folder)


def _source(place: str, registry: Registry) -> Path:
    """Find the folder to fine-tune from: a run, a checkpoint, a voice or vocoder, or an installed voice."""
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
    """Find the checkpoint to resume from, None for a new run; UserError for conflicting arguments."""
    from allophone.files.run_folder import find_checkpoint

    if resume is None:
        if recipe is None:
            raise UserError(
                "No recipe was given.",
                hint="Give the name of a recipe (`allophone recipes` lists them) or a TOML file, or resume "
                "the run with --resume.",
            )
        return None
    if given := recipe or (stage and f"--stage {stage}"):
        raise UserError(
            f"'{given}' cannot be used with --resume, which reads the configuration of the run.",
            hint="Omit it; use --set to change single values.",
        )
    if finetune is not None:
        raise UserError(
            "--resume and --finetune cannot be used together.",
            hint="Use --resume to continue a run, or --finetune to start a new one.",
        )
    return find_checkpoint(folder if resume == "latest" else Path(resume))


def _resolve(
    recipe: str | None,
    stage: str | None,
    checkpoint: Checkpoint | None,
    overrides: Sequence[str],
    registry: Registry,
) -> Resolved:
    """Resolve the configuration of the recipe, or of the checkpoint after checking for its plugins."""
    from allophone.config import resolve
    from allophone.files.run_folder import CONFIG, origins

    if checkpoint:
        for origin in origins(checkpoint):
            registry.find(origin.kind, origin.name, distribution=origin.distribution)
        return resolve(checkpoint.path / CONFIG, overrides, registry=registry)
    assert recipe is not None
    resolved = resolve(recipe, overrides, stage=stage, registry=registry)
    if resolved.stages and stage is None:
        raise UserError(
            f"{recipe} is trained in several stages: {', '.join(resolved.stages)}.",
            hint=f"Choose one with --stage, such as --stage {resolved.stages[0]}; each needs its own --run.",
        )
    return resolved


def _log_changes(
    checkpoint: Checkpoint | None, resolved: Resolved, overrides: Sequence[str]
) -> None:
    """Log which values of a resumed run have changed."""
    from allophone.config import read_toml
    from allophone.config.tables import leaves
    from allophone.files.run_folder import CONFIG

    if checkpoint is None:
        return
    _log.info("Resuming from %s.", checkpoint.path)
    before = dict(leaves(read_toml(checkpoint.path / CONFIG))) if overrides else {}
    for path, value in leaves(resolved.plain) if overrides else ():
        if before.get(path) != value:
            _log.info("Changed: %s = %s (was %s)", path, value, before.get(path, "not set"))


@contextmanager
def _display(first: bool, registry: Registry) -> Iterator[None]:
    """Show the progress of the run on the terminal: everything on rank 0, only errors on the others."""
    from allophone.cli.console import status
    from allophone.cli.training_display import StatusHandler, TrainingDisplay
    from allophone.training.observers import registered

    logger = logging.getLogger("allophone")
    logger.setLevel(logging.INFO if first else logging.ERROR)
    handler = StatusHandler(status)
    logger.addHandler(handler)
    try:
        with registered(registry, *([TrainingDisplay(status)] if first else [])):
            yield
    finally:
        logger.removeHandler(handler)
