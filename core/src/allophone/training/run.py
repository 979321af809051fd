"""Builds a run from its experiment: from scratch, from a checkpoint, or by fine-tuning other weights."""

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
from allophone.datasets.loading import Corpus, TooFewUtterancesError, open_corpus
from allophone.entries import TrainerEntry
from allophone.errors import ConfigError, PluginError, UserError, near_miss
from allophone.files.run_folder import CONFIG, FINETUNE, VOCABULARY, Checkpoint
from allophone.registry import Registry
from allophone.text.frontend import TextFrontend, build_frontend
from allophone.training.capacity import check_fits, limited
from allophone.training.claim import check_folder
from allophone.training.early_stop import EarlyStop
from allophone.training.ema import MovingAverage
from allophone.training.finetune import (
    FineTuneReport,
    Source,
    extend_vocabulary,
    read_source,
    transfer_weights,
)
from allophone.training.objective import Objective, optional
from allophone.training.ranks import Rank
from allophone.training.runtime import TrainerRuntime
from allophone.training.scoring import SampleScorer, configured_scores
from allophone.training.seeding import seed_everything
from allophone.training.state import Run

_log = logging.getLogger(__name__)

_CHECKED_TEXTS = 200
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
    """Build a run: from scratch, from one of its checkpoints, or from other weights.

    folder: folder of the run; created if it does not exist. Lock it with `allophone.training.claim.claimed`.
    resume: checkpoint to resume from, with the whole training state.
    finetune: a run, a checkpoint, a voice or a vocoder whose weights are used where they fit; what happened
        to each tensor is written to `finetune.json`.
    Raises UserError for data that is not prepared, checkpoints that would be overwritten, and an invalid
    configuration, as well as errors of the objective.
    """
    check_folder(folder, resume)
    trainer = _trainer(experiment, registry)
    corpus = open_corpus(experiment, registry)
    source = read_source(finetune, inference_module=trainer.inference_module) if finetune else None
    vocabulary = _vocabulary(corpus, resume, source)

    config = experiment.runtime
    seed_everything(config.seed)
    build = registry.load("trainers", trainer.name, "objective")
    with limited(rank.device):
        objective: Objective = build(experiment, vocabulary)
    _check_objective(objective, trainer)
    check_fits(objective.modules.values(), rank.device)
    _check_segment(objective, corpus)
    if not resume:
        _calibrate(objective, corpus, vocabulary)
    report = _transfer(source, objective, corpus, vocabulary) if source else None
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
        scorer=_scorer(corpus, objective, samples, rank, registry)
        if scores and valid is not None
        else None,
    )
    if config.ema_decay is not None:
        run.average = MovingAverage(runtime.modules[trainer.inference_module], config.ema_decay)
    if config.early_stop and valid is not None:
        score = scores.get(config.early_stop.metric)
        run.early_stop = EarlyStop(
            config.early_stop, higher=score is not None and score.better == "higher"
        )
    # Ranks need different random numbers from here on, for example for dropout.
    seed_everything(config.seed + rank.index)
    if resume:
        run.restore(resume)
    if rank.is_main:
        folder.mkdir(parents=True, exist_ok=True)
        write_toml(folder / CONFIG, unstructure(experiment, registry=registry))
        write_vocabulary(folder / VOCABULARY, vocabulary)
        if report:
            report.write(folder / FINETUNE)
            _log.info(report)
        if not resume:
            warn_of_unknown_symbols(corpus, vocabulary, registry)
    return run


def _trainer(experiment: Experiment, registry: Registry) -> TrainerEntry:
    if experiment.trainer is None:
        raise ConfigError(
            "The experiment has no [trainer].", hint='Add a table [trainer] with type = "...".'
        )
    entry: TrainerEntry = registry.entry_of("trainers", experiment.trainer)
    tables = {
        table: registry.entry_of(f"{table}s", config).name
        for table in ("model", "vocoder")
        if (config := getattr(experiment, table)) is not None
    }
    if entry.trains not in tables.values():
        found = ", ".join(f'a [{table}] of type "{type}"' for table, type in tables.items())
        raise ConfigError(
            f"The trainer '{entry.name}' trains '{entry.trains}', but the experiment has "
            f"{found or 'neither a [model] nor a [vocoder]'}.",
            hint="Change the type of [trainer], [model] or [vocoder] so that they match.",
        )
    return entry


def _transfer(
    source: Source, objective: Objective, corpus: Corpus, vocabulary: Vocabulary
) -> FineTuneReport:
    """Initialize the objective from the source's weights, adapted by the objective."""

    def batches() -> Iterator[Batch]:
        # A generator, so that the loader is only created if the objective reads from it.
        yield from corpus.loader(
            "train",
            features=objective.features,
            vocabulary=vocabulary,
            reject=optional(objective, "reject"),
        )

    adapt = optional(objective, "adapt")
    adapted = adapt(source.weights, batches()) if adapt else {}
    return transfer_weights(objective.modules, source, vocabulary, adapted)


def _calibrate(objective: Objective, corpus: Corpus, vocabulary: Vocabulary) -> None:
    """Calibrate an objective that supports it with the whole training split, on every rank."""
    if calibrate := optional(objective, "calibrate"):
        features = optional(objective, "calibration_features")
        calibrate(corpus.loader("train", features=features, vocabulary=vocabulary))


def _vocabulary(corpus: Corpus, resume: Checkpoint | None, source: Source | None) -> Vocabulary:
    if resume:
        return read_vocabulary(resume.path / VOCABULARY)
    vocabulary = corpus.build_vocabulary()
    return extend_vocabulary(source.vocabulary, vocabulary) if source else vocabulary


def _check_objective(objective: Objective, trainer: TrainerEntry) -> None:
    if trainer.inference_module not in objective.modules:
        raise PluginError(
            f"The trainer '{trainer.name}' has the inference_module '{trainer.inference_module}', but its "
            "objective has no such module.",
            hint=near_miss(trainer.inference_module, objective.modules),
        )


def _check_segment(objective: Objective, corpus: Corpus) -> None:
    """Refuse segments that no training utterance fills by half."""
    samples = optional(objective, "segment_samples")
    if samples is None:
        return
    asked = samples / corpus.experiment.audio.sample_rate
    longest = corpus.longest_seconds("train")
    if asked > 2 * longest:
        raise ConfigError(
            f"The trainer learns from segments of {samples:,} samples ({asked:,.1f} s), and the longest "
            f"training utterance has {longest:.1f} s.",
            hint="Lower the size of a segment in [trainer], such as segment_size, or train on longer recordings.",
        )


def _validation_data(
    corpus: Corpus, objective: Objective, vocabulary: Vocabulary, rank: Rank
) -> tuple[EpochLoader | None, list[Batch]]:
    """Return the validation loader of this rank and, on rank 0, the batches to make samples of.

    None, with a warning, if no validation utterance can be used: a corpus of a few utterances has none to
    spare.
    """
    config = corpus.experiment.runtime
    try:
        if not corpus.split("valid"):
            raise TooFewUtterancesError("The split 'valid' is empty.")
        valid = corpus.loader(
            "valid",
            features=objective.features,
            vocabulary=vocabulary,
            reject=optional(objective, "reject"),
            rank=rank.index,
            world_size=rank.world_size,
        )
    except TooFewUtterancesError as error:
        best, metrics = config.keep.best_metric, ", ".join(config.metrics)
        idle = [f"runtime.keep.best_metric = '{best}'"] if best else []
        idle += [f"[runtime.metrics] ({metrics})"] if metrics else []
        idle += ["[runtime.early_stop]"] if config.early_stop else []
        _log.warning(
            "%s Nothing is validated, and no samples are made.%s",
            error.message,
            f" Without effect: {', '.join(idle)}." if idle else "",
        )
        return None, []
    return valid, _first_utterances(valid, config.samples) if rank.is_main else []


def _scorer(
    corpus: Corpus, objective: Objective, samples: list[Batch], rank: Rank, registry: Registry
) -> SampleScorer | None:
    """Return the scorer of the samples, on rank 0. Raises ConfigError if there are no samples."""
    if optional(objective, "sample") is None:
        raise ConfigError(
            "runtime.metrics: the trainer makes no samples to score.",
            hint="Remove [runtime.metrics].",
        )
    if not corpus.experiment.runtime.samples:
        raise ConfigError(
            "runtime.metrics: runtime.samples is 0, so there is nothing to score.",
            hint="Set runtime.samples to the number of validation utterances to score.",
        )
    if not rank.is_main:
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
    """Warn if a model is trained on the phones of label files, and the front end produces other symbols.

    Such a model is never trained on text from the front end, so the mismatch would show only in synthesis.
    """
    if not corpus.learns_labels:
        return
    utterances = corpus.split("train")[:_CHECKED_TEXTS]
    reasons: Counter[str] = Counter()
    refused = 0
    for utterance in utterances:
        try:
            frontend = build_frontend(corpus.experiment.text, utterance.language, registry)
        except PluginError as error:
            _log.warning("Could not check whether this voice can read plain text: %s", error)
            return
        unknown = _unknown_symbols(frontend, utterance.text, vocabulary)
        reasons.update(unknown)
        refused += bool(unknown)
    if refused:
        named = [f"{reason} ({count})" for reason, count in reasons.most_common(_SHOWN)]
        if len(reasons) > _SHOWN:
            named.append(f"{len(reasons) - _SHOWN} more")
        _log.warning(
            "This voice is trained on the phones of label files, but the text front end produces other "
            "symbols: the voice could not speak %d of %d training texts. Unknown: %s. Map them to the "
            "phones of the labels in [text.phones], now or after training.",
            refused,
            len(utterances),
            ", ".join(named),
        )


def _unknown_symbols(frontend: TextFrontend, text: str, vocabulary: Vocabulary) -> list[str]:
    """Return the symbols of a text that are not in the vocabulary, or the front end's error."""
    try:
        return [repr(symbol) for symbol in vocabulary.symbols.missing(frontend.symbols(text))]
    except UserError as error:
        return [error.message]
