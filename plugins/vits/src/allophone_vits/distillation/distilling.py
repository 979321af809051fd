"""Distills a voice: the teacher speaks, the student learns, and the two become one voice folder.

    teacher/           what the teacher said (`allophone_vits.distillation.teacher`), unless another folder is given
    data/              manifest and features
    experiment.toml    the recipe `vits/distill` with the tables of the teacher
    run/               the training run

Every step keeps what is there, so that the same call goes on where the last one stopped.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import attrs
import click
from attrs import evolve

from allophone.config import read_toml, resolve, unstructure, write_toml
from allophone.config.experiment import Experiment
from allophone.errors import UserError
from allophone.files.run_folder import CONFIG, checkpoints
from allophone.inference.folder import StoredVoice, write_voice
from allophone.inference.importing import find_or_import
from allophone.inference.locate import find_voice
from allophone.processes.progress import Track
from allophone.registry import Registry
from allophone.synthesis.requests import read_requests
from allophone_vits.distillation.beginning import EXPERIMENT, only, with_weights, write_beginning
from allophone_vits.distillation.config import (
    DECODER,
    ENCODED_TEXT,
    LATENTS,
    PRIOR_SAMPLES,
    features_of,
)
from allophone_vits.distillation.sharpening import check_decoder, sharpened
from allophone_vits.distillation.teacher import say_texts

RECIPE = "vits/distill"
TAUGHT = (LATENTS, PRIOR_SAMPLES, ENCODED_TEXT)
"""The features that are files of the teacher's."""
ENGLISH = "texts/english.txt"


def distill(
    voice: str | Path,
    out: Path,
    *,
    parts: Sequence[str] = (DECODER,),
    decoder: str,
    texts: Path | None,
    count: int | None,
    takes: int = 1,
    folder: Path,
    overrides: Sequence[str],
    registry: Registry,
    track: Track,
    students: Sequence[Path] = (),
    speech: Path | None = None,
    sharpen: float = 0.0,
) -> None:
    """Write a voice folder `out` with a student's parts in the place of those of `voice`.

    parts: what the student learns, of "decoder", "flow" and "text_encoder".
    decoder: the type of the student's decoder; overrides: of the recipe `vits/distill`.
    texts: a list of texts, by default the English sentences of this package; count: how many of them.
    takes: how often each is said, with other noise and thus another rhythm, pitch and phase; a flow learns from them.
    folder: of the training. speech: of the teacher's speech, which several trainings may share; by default the
        one that the training began with, which is `folder`/teacher for a new one.
    students: what the training begins with, in the place of the teacher's: runs or checkpoints of distillations, or
        training folders of voice packages; a later one goes before an earlier one.
    sharpen: how much more contrast the new voice's spectra have than what the student learned (`sharpening`).

    Raises UserError if `out` exists, for a voice of a family whose parts cannot be replaced, for texts that
    cannot be read, and for a decoder that cannot be sharpened.
    """
    if out.exists():
        raise UserError(
            f"{out} exists already.",
            hint=f"Choose another --out; the training in {folder} goes on where it stopped, with --run.",
        )
    run = folder / "run"
    if checkpoints(run):
        _check_parts(run, parts)
    source = find_or_import(voice, registry)
    teacher = source.read(registry)
    family = _family(teacher, registry)
    experiment = _experiment(teacher, family, parts, decoder, overrides, registry)
    if sharpen:
        check_decoder(experiment.model.decoder)
    requests = list(read_requests(texts or _shipped_texts(teacher))[:count]) * takes

    description = folder / EXPERIMENT
    speech = (speech or _earlier_speech(description) or folder / "teacher").resolve()
    spoken = say_texts(
        teacher,
        requests,
        speech,
        registry=registry,
        features=[name for name in features_of(parts) if name in TAUGHT],
        track=track,
    )
    click.echo(f"The teacher said {spoken.utterances:,} texts: {spoken.seconds / 60:,.1f} minutes.")
    if spoken.skipped:
        click.echo(f"It cannot read {len(spoken.skipped):,}, such as {spoken.skipped[0]}", err=True)

    experiment = _with_speech(experiment, speech, spoken.table, data=folder / "data")
    write_toml(description, unstructure(experiment, registry=registry))
    _allophone("prepare", str(description))
    _allophone("extract", str(description))
    if checkpoints(run):
        changed = [argument for value in overrides for argument in ("--set", value)]
        _allophone("train", "--run", str(run), "--resume", "latest", *changed)
    else:
        begin = write_beginning(
            teacher, experiment.model, parts, students, folder / "begin", registry
        )
        _allophone("train", str(description), "--run", str(run), "--finetune", str(begin))

    learnt = find_voice(run, registry).read(registry)
    new = with_parts(teacher, learnt, parts, name=out.name)
    if sharpen:
        new = sharpened(new, teacher, requests, amount=sharpen, registry=registry)
    write_voice(out, new, registry=registry)
    click.echo(f"Wrote {out}")


def _earlier_speech(description: Path) -> Path | None:
    """The teacher's speech that a training has had so far."""
    if not description.exists():
        return None
    (corpus,) = read_toml(description)["data"]["corpora"]
    return Path(corpus["root"])


def _check_parts(run: Path, parts: Sequence[str]) -> None:
    """Raise UserError if a run that is to go on learns other parts."""
    learnt = read_toml(run / CONFIG)["trainer"].get("parts", [DECODER])
    if set(learnt) != set(parts):
        asked = " ".join(f"--learn {part.replace('_', '-')}" for part in learnt)
        raise UserError(
            f"The training in {run} learns {', '.join(learnt)}, and not {', '.join(parts)}.",
            hint=f"Go on with {asked}, or begin another training with another --run.",
        )


def with_parts(
    teacher: StoredVoice, student: StoredVoice, parts: Sequence[str], *, name: str
) -> StoredVoice:
    """The teacher with parts of the student; it keeps what the student left out, such as a posterior encoder."""
    about = teacher.description.about
    what = "a faster decoder" if tuple(parts) == (DECODER,) else "faster parts"
    return StoredVoice(
        description=evolve(
            teacher.description,
            about=evolve(about, name=name, summary=f"{about.name} with {what}. {about.summary}"),
            model=student.description.model,
        ),
        vocabulary=teacher.vocabulary,
        weights=with_weights(teacher.weights, only(student.weights, parts)),
    )


def _family(teacher: StoredVoice, registry: Registry) -> str:
    """The family of a voice, with a trainer that distills it."""
    family = registry.entry_of("models", teacher.description.model).name
    trainers = registry.entries("trainers")
    if f"{family}.distill" not in trainers:
        known = [name.removesuffix(".distill") for name in trainers if name.endswith(".distill")]
        raise UserError(
            f"The voice '{teacher.description.about.name}' is of the family '{family}', which has no decoder "
            "that a student could replace.",
            hint=f"Give a voice of {' or '.join(known)}, such as a Piper voice. For models that predict mels, train "
            "a faster vocoder: allophone train vocos/...",
        )
    return family


def _shipped_texts(teacher: StoredVoice) -> Path:
    language = teacher.description.text.language
    if language.partition("-")[0] != "en":
        raise UserError(
            f"The voice '{teacher.description.about.name}' speaks '{language}'; only English texts are shipped.",
            hint="Give some thousand sentences of its language, one a line: --texts FILE",
        )
    return Path(str(files("allophone_vits.distillation").joinpath(ENGLISH)))


def _experiment(
    teacher: StoredVoice,
    family: str,
    parts: Sequence[str],
    decoder: str,
    overrides: Sequence[str],
    registry: Registry,
) -> Experiment:
    """The recipe, with the tables of the teacher but for the parts that the student learns."""
    recipe = resolve(RECIPE, registry=registry).plain
    chosen = (
        []
        if recipe["model"]["decoder"]["type"] == decoder
        else [f'model.decoder={{type = "{decoder}"}}']
    )
    base = resolve(RECIPE, [*chosen, *overrides], registry=registry).experiment
    trainer: Any = registry.load("trainers", f"{family}.distill", "config")
    return evolve(
        base,
        text=teacher.description.text,
        audio=teacher.description.audio,
        features={name: base.features[name] for name in features_of(parts)},
        model=_model(teacher, base.model, parts),
        trainer=trainer(**attrs.asdict(evolve(base.trainer, parts=tuple(parts)), recurse=False)),
    )


def _with_speech(experiment: Experiment, speech: Path, table: str, *, data: Path) -> Experiment:
    """The experiment with a table of the teacher's speech as its corpus."""
    (corpus,) = experiment.data.corpora
    taught = {
        name: evolve(experiment.features[name], directory=str(speech / name))
        for name in TAUGHT
        if name in experiment.features
    }
    return evolve(
        experiment,
        data=evolve(
            experiment.data,
            directory=str(data.resolve()),
            corpora=(evolve(corpus, root=str(speech), file=table),),
        ),
        features={**experiment.features, **taught},
    )


def _model(teacher: StoredVoice, recipe: Any, parts: Sequence[str]) -> Any:
    """The teacher's model with the recipe's sizes of what the student learns."""
    model: Any = teacher.description.model
    for part in parts:
        theirs, ours = getattr(model, part), getattr(recipe, part)
        if part != DECODER and type(theirs) is not type(ours):
            raise UserError(
                f"The voice '{teacher.description.about.name}' has another kind of {part.replace('_', ' ')} than "
                "students of VITS learn.",
                hint="Leave it out of --learn.",
            )
        model = evolve(model, **{part: ours})
    return model


def _allophone(*arguments: str) -> None:
    """Run a command of Allophone; a signal that asks to stop is its business, which ends in good order."""
    started = subprocess.Popen([sys.executable, "-m", "allophone", *arguments])
    handlers = {
        signal.SIGINT: lambda *_: None,  # The terminal sends it to both.
        signal.SIGTERM: lambda *_: started.terminate(),
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        code = started.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if code:
        raise click.exceptions.Exit(code)
