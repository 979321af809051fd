"""Putting a run together from its experiment: anew, from a checkpoint, or from other weights."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from allophone.config import unstructure, write_toml
from allophone.config.experiment import Experiment
from allophone.data.batch import Batch
from allophone.data.loader import EpochLoader
from allophone.data.vocabulary import Vocabulary, read_vocabulary, write_vocabulary
from allophone.entries import TrainerEntry
from allophone.errors import ConfigError, PluginError, UserError, near_miss
from allophone.frontend import build_frontend
from allophone.loading import Corpus, open_corpus
from allophone.registry import Registry
from allophone.run_folder import CONFIG, FINETUNE, VOCABULARY, Checkpoint, checkpoints
from allophone.text.frontend import TextFrontend
from allophone.training.checkpoint import sweep
from allophone.training.ema import MovingAverage
from allophone.training.finetune import (
    FineTuneReport,
    Source,
    extended,
    read_source,
    take_weights,
)
from allophone.training.objective import Objective, optional
from allophone.training.ranks import Rank
from allophone.training.runtime import TrainerRuntime
from allophone.training.scoring import SampleScorer, configured_scores
from allophone.training.seeding import seed_everything
from allophone.training.state import Run

_log = logging.getLogger(__name__)

_TEXTS = 200
_SHOWN = 8


def open_run(
    folder: Path,
    experiment: Experiment,
    *,
    rank: Rank,
    registry: Registry,
    resume: Checkpoint | None = None,
    finetune: Path | None = None,
) -> Run:
    """Put a run together: from nothing, from a checkpoint of its own, or from other weights.

    folder: where it is kept; made where it is not there.
    resume: the checkpoint to go on from, with everything.
    finetune: a run, a checkpoint or a voice whose weights are taken where they fit; what became of
        each is written to `finetune.json`.
    Raises UserError for data that is not prepared, checkpoints that would be written over, a
    configuration that does not fit, and whatever the objective finds wrong.
    """
    check_folder(folder, resume)
    trainer = _trainer(experiment, registry)
    corpus = open_corpus(experiment, registry)
    source = read_source(finetune, inference_module=trainer.inference_module) if finetune else None
    vocabulary = _vocabulary(corpus, resume, source)

    config = experiment.runtime
    seed_everything(config.seed)
    build = registry.load("trainers", trainer.name, "objective")
    objective: Objective = build(experiment, vocabulary)
    _check_objective(objective, trainer)
    if not resume:
        _calibrate(objective, corpus, vocabulary)
    report = _take(source, objective, corpus, vocabulary) if source else None
    runtime = TrainerRuntime(objective, config, rank)

    scores = configured_scores(experiment, registry)
    valid, samples = _validation_data(corpus, objective, vocabulary, rank)
    run = Run(
        folder=folder,
        experiment=experiment,
        registry=registry,
        rank=rank,
        vocabulary=vocabulary,
        objective=objective,
        runtime=runtime,
        inference_module=trainer.inference_module,
        train=corpus.loader(
            "train",
            features=objective.features,
            vocabulary=vocabulary,
            reject=optional(objective, "reject"),
            rank=rank.index,
            world_size=rank.world_size,
            weighted=True,
        ),
        valid=valid,
        samples=samples,
        scores=scores,
        scorer=_scorer(corpus, objective, samples, rank, registry) if scores else None,
    )
    if config.ema_decay is not None:
        run.average = MovingAverage(runtime.modules[trainer.inference_module], config.ema_decay)
    # From here on each rank draws its own numbers: dropout on two ranks must not be the same.
    seed_everything(config.seed + rank.index)
    if resume:
        run.restore(resume)
    if rank.first:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        write_toml(folder / CONFIG, unstructure(experiment, registry=registry))
        write_vocabulary(folder / VOCABULARY, vocabulary)
        if report:
            report.write(folder / FINETUNE)
            _log.info(report)
        if not resume:
            warn_of_unknown_symbols(corpus, vocabulary, registry)
    return run


def check_folder(folder: Path, resume: Checkpoint | None) -> None:
    """Refuse to write over checkpoints: those of another run, and those after the one to resume."""
    there = checkpoints(folder)
    if there and resume is None:
        raise UserError(
            f"{folder} already holds a run, at step {there[-1].step}.",
            hint="Continue it with --resume, or train into another folder with --run.",
        )
    if resume and there and there[-1].step > resume.step:
        raise UserError(
            f"{folder} has gone on to step {there[-1].step}, beyond {resume.path.name}.",
            hint="Branch off into another folder (--run), or delete the later checkpoints.",
        )


def _trainer(experiment: Experiment, registry: Registry) -> TrainerEntry:
    if experiment.trainer is None:
        raise ConfigError("The experiment has no [trainer], so there is nothing to train.")
    entry: TrainerEntry = registry.entry_of("trainers", experiment.trainer)
    tables = {
        table: registry.entry_of(f"{table}s", config).name
        for table in ("model", "vocoder")
        if (config := getattr(experiment, table)) is not None
    }
    if entry.trains not in tables.values():
        there = ", ".join(f'a [{table}] of type "{type}"' for table, type in tables.items())
        raise ConfigError(
            f"The trainer '{entry.name}' trains '{entry.trains}', but the experiment has "
            f"{there or 'neither a [model] nor a [vocoder]'}.",
            hint="The types of [trainer] and of what it trains must fit.",
        )
    return entry


def _take(
    source: Source, objective: Objective, corpus: Corpus, vocabulary: Vocabulary
) -> FineTuneReport:
    """Begin with a source's weights, as they are and as the objective adapts them."""

    def batches() -> Iterator[Batch]:
        """Opened only when they are asked for."""
        yield from corpus.loader(
            "train",
            features=objective.features,
            vocabulary=vocabulary,
            reject=optional(objective, "reject"),
        )

    adapt = optional(objective, "adapt")
    adapted = adapt(source.weights, batches()) if adapt else {}
    return take_weights(objective.modules, source, vocabulary, adapted)


def _calibrate(objective: Objective, corpus: Corpus, vocabulary: Vocabulary) -> None:
    """Show the training split to an objective that asks: all of it on every rank, so that all see the same."""
    if calibrate := optional(objective, "calibrate"):
        features = optional(objective, "calibration_features")
        calibrate(corpus.loader("train", features=features, vocabulary=vocabulary))


def _vocabulary(corpus: Corpus, resume: Checkpoint | None, source: Source | None) -> Vocabulary:
    if resume:
        return read_vocabulary(resume.path / VOCABULARY)
    vocabulary = corpus.build_vocabulary()
    return extended(source.vocabulary, vocabulary) if source else vocabulary


def _check_objective(objective: Objective, trainer: TrainerEntry) -> None:
    if trainer.inference_module not in objective.modules:
        raise PluginError(
            f"The trainer '{trainer.name}' has the inference_module '{trainer.inference_module}', but its "
            "objective has no such module.",
            hint=near_miss(trainer.inference_module, objective.modules),
        )


def _validation_data(
    corpus: Corpus, objective: Objective, vocabulary: Vocabulary, rank: Rank
) -> tuple[EpochLoader | None, list[Batch]]:
    """The validation batches of this rank, and for rank 0 those to be heard."""
    config = corpus.experiment.runtime
    if not corpus.split("valid"):
        wants = {"keep.best_metric": config.keep.best_metric, "metrics": config.metrics}
        for key, value in wants.items():
            if value:
                raise ConfigError(
                    f"runtime.{key}: there are no validation utterances to rate by.",
                    hint="Set data.splits.valid, and run: allophone prepare",
                )
        _log.warning(
            "There are no validation utterances: nothing is validated, and no samples are made."
        )
        return None, []
    valid = corpus.loader(
        "valid",
        features=objective.features,
        vocabulary=vocabulary,
        reject=optional(objective, "reject"),
        rank=rank.index,
        world_size=rank.world_size,
    )
    return valid, _first_utterances(valid, config.samples) if rank.first else []


def _scorer(
    corpus: Corpus, objective: Objective, samples: list[Batch], rank: Rank, registry: Registry
) -> SampleScorer | None:
    """What scores the samples, on rank 0; ConfigError where there will be none."""
    if optional(objective, "sample") is None:
        raise ConfigError(
            "runtime.metrics: the trainer makes no samples that a metric could score.",
            hint="Leave [runtime.metrics] out.",
        )
    if not corpus.experiment.runtime.samples:
        raise ConfigError(
            "runtime.metrics: runtime.samples is 0, so there is nothing to score.",
            hint="Let runtime.samples be how many validation utterances are scored.",
        )
    if not rank.first:
        return None
    ids = [id for batch in samples for id in batch.ids]
    return SampleScorer(corpus, ids, registry=registry, device=str(rank.device))


def _first_utterances(loader: EpochLoader, count: int) -> list[Batch]:
    batches: list[Batch] = []
    for batch in loader.preview():
        if count <= 0:
            break
        batches.append(batch.rows(slice(count)))
        count -= len(batches[-1])
    return batches


def warn_of_unknown_symbols(corpus: Corpus, vocabulary: Vocabulary, registry: Registry) -> None:
    """Warn where a model learns the phones of labels, and the front end writes plain texts with others.

    Such a model trains without ever being given a plain text: it would be noticed when it first speaks.
    """
    if not corpus.learns_labels:
        return
    utterances = corpus.split("train")[:_TEXTS]
    reasons: Counter[str] = Counter()
    refused = 0
    for utterance in utterances:
        try:
            frontend = build_frontend(corpus.experiment.text, utterance.language, registry)
        except PluginError as error:
            _log.warning("Whether this voice will read plain texts was not examined: %s", error)
            return
        lacking = _lacking(frontend, utterance.text, vocabulary)
        reasons.update(lacking)
        refused += bool(lacking)
    if refused:
        named = [f"{reason} ({count})" for reason, count in reasons.most_common(_SHOWN)]
        if len(reasons) > _SHOWN:
            named.append(f"{len(reasons) - _SHOWN} more")
        _log.warning(
            "This voice learns the phones of labels, and plain texts are written with others: %d of %d "
            "training texts it would refuse to say, for want of: %s. [text.phones] says what these are "
            "called in the labels; it can be set after the training too.",
            refused,
            len(utterances),
            ", ".join(named),
        )


def _lacking(frontend: TextFrontend, text: str, vocabulary: Vocabulary) -> list[str]:
    """What a text needs that is not known: symbols of the vocabulary, or an entry of [text.phones]."""
    try:
        return [repr(symbol) for symbol in vocabulary.symbols.missing(frontend.symbols(text))]
    except UserError as error:
        return [error.message]
