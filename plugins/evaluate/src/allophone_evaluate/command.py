"""`allophone evaluate`: scores voices and folders of speech, and writes reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from allophone.cli.options import engine_options, parse_controls, vocoder_option
from allophone.data.manifest import SPLITS
from allophone.errors import UserError
from allophone.processes.executors import executor_options, open_executor

if TYPE_CHECKING:
    from allophone_evaluate.items import Item
    from allophone_evaluate.sources import SourcesConfig

_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_folder = click.Path(exists=True, file_okay=False, path_type=Path)
_out = click.Path(dir_okay=False, path_type=Path)


@click.command("evaluate")
@click.option(
    "--voice",
    "voices",
    multiple=True,
    metavar="VOICE",
    help="An installed voice, a voice folder, a run, a checkpoint or an exported voice; may be repeated.",
)
@click.option(
    "--audio",
    "folders",
    multiple=True,
    type=_folder,
    help="A folder of finished speech, whose files are named by the ids of the texts; may be repeated.",
)
@click.option(
    "--manifest", type=_file, help="Evaluate a manifest's split; its recordings are references."
)
@click.option(
    "--split", type=click.Choice(SPLITS), help="The split of --manifest.  [default: test]"
)
@click.option(
    "--texts",
    type=_file,
    help="Evaluate a list of texts, as `allophone synthesize --list` reads it.",
)
@click.option("--reference", type=_folder, help="A folder of recordings to compare with.")
@click.option(
    "--language", metavar="CODE", help="The language of texts that have none, such as en-us."
)
@click.option(
    "--metric",
    "names",
    multiple=True,
    metavar="NAME",
    help="A metric; may be repeated.  [default: all installed metrics that can be used]",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="METRIC.KEY=VALUE",
    help="An option of a metric, such as intelligibility.model=whisper-base; may be repeated.",
)
@click.option("--json", "json_file", type=_out, help="Write the report as JSON.")
@click.option("--html", "html_file", type=_out, help="Write the report as a web page.")
@click.option(
    "--worst-by",
    metavar="SCORE",
    help="The score that ranks utterances on the page.  [default: the first that has a best value]",
)
@click.option(
    "--worst",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="How many of the worst utterances of each voice the page plays.",
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the audio in this folder.",
)
@engine_options
@vocoder_option
@click.option(
    "--control",
    "assigned_controls",
    multiple=True,
    metavar="NAME=VALUE",
    help="A control of the voices, such as noise_scale=0.333; may be repeated.",
)
@click.option(
    "--seed", default=0, show_default=True, help="Of the synthesis and of the resampling."
)
@click.option(
    "--resamples",
    type=click.IntRange(min=100),
    default=5000,
    show_default=True,
    help="Of the bootstrap and of the permutation test.",
)
@executor_options(None)
def command(
    voices: tuple[str, ...],
    folders: tuple[Path, ...],
    names: tuple[str, ...],
    assignments: tuple[str, ...],
    json_file: Path | None,
    html_file: Path | None,
    worst_by: str | None,
    worst: int,
    keep: Path | None,
    executor: str | None,
    workers: int | None,
    device: str,
    assigned_controls: tuple[str, ...],
    seed: int,
    resamples: int,
    **given: Any,
) -> None:
    """Evaluate voices, or folders of speech, with metrics.

    Each voice speaks the texts of --manifest or --texts. With the recordings of --manifest or --reference, the
    speech is compared with them. Prints means with confidence intervals; two or more voices are compared
    utterance by utterance. What fails is reported, and the exit status is then 1.
    """
    import sys
    import tempfile
    from contextlib import ExitStack

    from rich.console import Console
    from rich.progress import track

    from allophone.metrics.protocol import MetricContext
    from allophone.registry import default_registry
    from allophone_evaluate.divided import Setup, evaluate_divided
    from allophone_evaluate.evaluation import evaluate
    from allophone_evaluate.opening import Available, chosen_score, open_metrics, scores_of
    from allophone_evaluate.page import write_page
    from allophone_evaluate.report import make_report, write_json
    from allophone_evaluate.settings import AUDIO, read_options
    from allophone_evaluate.sources import SourcesConfig
    from allophone_evaluate.table import show

    registry = default_registry()
    divided = open_executor(executor, workers, registry)
    if divided and keep is None:
        raise UserError(
            "--executor requires --keep, a folder that all its processes can write to.",
            hint="Add --keep FOLDER.",
        )
    items = _items(given)
    speaking = SourcesConfig(
        voices=voices,
        folders=folders,
        engine=given["engine"],
        vocoder=given["vocoder"],
        device=device,
        seed=seed,
        controls=parse_controls(assigned_controls),
    )
    _check_sources(speaking, items)
    sources = speaking.open()
    available = Available(
        references=any(item.reference for item in items),
        texts=any(item.request.text for item in items),
        times=any(source.measures_time for source in sources),
    )
    options = read_options(assignments)
    metrics, left_out = open_metrics(
        names,
        options,
        available=available,
        context=MetricContext(audio=AUDIO, device=device),
        registry=registry,
    )
    ranked_by = chosen_score(worst_by, scores_of(metrics))
    timed = any(one.entry.needs_timing for one in metrics)
    for source in sources:
        # What no metric asks for is not measured: it doubles the time.
        source.measures_time &= timed
    errors = Console(stderr=True, highlight=False)

    def progress(items: Any, *, total: int | None, description: str) -> Any:
        return track(items, description, total, console=errors, disable=not errors.is_terminal)

    with ExitStack() as stack:
        audio = keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if divided:
            setup = Setup(
                sources=speaking,
                metrics=tuple(one.entry.name for one in metrics),
                options=options,
                measures_time=timed,
                audio=audio.absolute(),
            )
            evaluation = evaluate_divided(setup, items, executor=divided, track=progress)
        else:
            evaluation = evaluate(
                sources, items, metrics, audio=audio, registry=registry, track=progress
            )
        report = make_report(
            evaluation,
            metrics,
            left_out=left_out,
            settings={**_settings(given, device), "controls": speaking.controls},
            resamples=resamples,
            seed=seed,
        )
        if json_file:
            write_json(report, json_file)
        if html_file:
            write_page(report, evaluation, html_file, ranked_by=ranked_by, worst=worst)
    console = Console(highlight=False)
    for part in show(report):
        console.print(part)
    if report["failures"]:
        sys.exit(1)


def _items(given: dict[str, Any]) -> tuple[Item, ...]:
    from attrs import evolve

    from allophone_evaluate.items import (
        items_of_folder,
        items_of_manifest,
        items_of_texts,
        with_references,
    )

    manifest, texts, reference = (given[name] for name in ("manifest", "texts", "reference"))
    if manifest and (texts or reference):
        raise UserError(
            "--manifest has its own texts and recordings.", hint="Omit --texts and --reference."
        )
    if given["split"] and not manifest:
        raise UserError("--split requires --manifest.")
    if manifest:
        items = items_of_manifest(manifest, given["split"] or "test")
    elif texts:
        items = items_of_texts(texts)
        items = with_references(items, reference) if reference else items
    elif reference:
        items = items_of_folder(reference)
    else:
        raise UserError("Nothing to evaluate.", hint="Give --manifest, --texts or --reference.")
    return tuple(
        evolve(
            item,
            request=evolve(item.request, language=item.request.language or given["language"]),
        )
        for item in items
    )


def _check_sources(sources: SourcesConfig, items: tuple[Item, ...]) -> None:
    names = sources.names
    if not names:
        raise UserError("Nothing speaks.", hint="Give --voice or --audio; either may be repeated.")
    if sources.voices and not any(item.request.text for item in items):
        raise UserError(
            "A voice needs texts, and there are none.", hint="Give --manifest or --texts."
        )
    if sources.controls and not sources.voices:
        raise UserError("--control requires --voice.", hint="Finished speech has no controls.")
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"Two voices or folders are named '{name}'.", hint="Rename one of the folders."
            )


def _settings(given: dict[str, Any], device: str) -> dict[str, Any]:
    """What the numbers depend on, for the report."""
    chosen = {name: str(value) for name, value in given.items() if value is not None}
    return {"allophone": _version(), "device": device, **chosen}


def _version() -> str:
    from importlib.metadata import version

    return version("allophone-evaluate")
