"""Opens the corpus of an experiment for training: its vocabulary, and its splits as batches.

    corpus = open_corpus(experiment, registry)
    vocabulary = corpus.build_vocabulary()
    train = corpus.loader("train", features=("waveform", "phonemes"), vocabulary=vocabulary)
    for batch in train:                 # one epoch, or the rest of it after resuming
        ...

Only the manifest and the feature store are read, not the recordings, so it is enough to copy the data
directory to the machine that trains.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from attrs import Factory, frozen
from numpy.typing import NDArray

from allophone.config.corpora import named_corpora
from allophone.config.experiment import Experiment
from allophone.data.batch_sampler import SamplingContext
from allophone.data.loader import EpochLoader
from allophone.data.manifest import Split, Utterance
from allophone.data.vocabulary import Vocabulary, build_vocabulary
from allophone.datasets.corpus_index import StoredUtterances, open_corpus_index
from allophone.datasets.feature_index import FeatureIndex, StoredUtterance, prepared_utterances
from allophone.datasets.sampling import open_sampler
from allophone.datasets.selection import LeftOut, Reject, Selector
from allophone.errors import UserError, near_miss
from allophone.registry import Registry, default_registry
from allophone.text.symbols import SymbolTable

_log = logging.getLogger(__name__)

_NAMED = 3
"""Utterances that are named for each reason of leaving some out."""


class TooFewUtterancesError(UserError):
    """A split has no utterance that can be used, or fewer than there are ranks."""


@frozen(kw_only=True)
class Corpus:
    """The utterances of an experiment with their stored features.

    stored: the usable utterances, in the order of the manifest; the others were reported by extraction.
    weights: how often utterances of each corpus occur in a weighted epoch; 1 by default.
    learns_labels: whether the model is trained on symbols from label files, not from the texts.
    registry: for looking up the batch sampler.
    """

    experiment: Experiment
    stored: StoredUtterances
    weights: Mapping[str, float] = Factory(dict)
    learns_labels: bool = False
    registry: Registry = Factory(default_registry)

    def split(self, split: Split) -> Sequence[Utterance]:
        """List the usable utterances of a split in the order of the manifest; may be empty."""
        return self.stored.of_split(split).utterances

    def items(self, split: Split) -> Sequence[StoredUtterance]:
        """List the usable utterances of a split with their features, like `split`."""
        return self.stored.of_split(split)

    def longest_seconds(self, split: Split) -> float:
        """The duration of the longest usable utterance of a split; 0 where it is empty."""
        return float(self.stored.of_split(split).seconds.max(initial=0.0))

    def build_vocabulary(self) -> Vocabulary:
        """Build the vocabulary: the sorted symbols, speakers and languages of the training split.

        Empty if a vocoder is trained. Raises UserError if the split is empty.
        """
        train = self.stored.of_split("train")
        if not train:
            raise self._empty("train", None)
        if not self.experiment.reads_text:
            return Vocabulary(symbols=SymbolTable(ids={}))
        default = self.experiment.text.language
        return build_vocabulary(
            self.experiment.text,
            symbols=train.symbols(),
            speakers=_named(train, "speaker"),
            languages={name or default for name in train.names("language")},
        )

    def loader(
        self,
        split: Split,
        *,
        features: Sequence[str],
        vocabulary: Vocabulary,
        reject: Reject | None = None,
        rank: int = 0,
        world_size: int = 1,
        weighted: bool = False,
    ) -> EpochLoader:
        """Make the loader of a split: shuffled for "train", in a fixed order for the others.

        features: the names of the features in each batch.
        reject: returns a reason to leave out an utterance, given the lengths of its features.
        weighted: whether utterances occur as often as the weight of their corpus and the batch sampler say
            (for training), or once each.

        Utterances with a symbol, speaker or language that is not in the vocabulary, and those that `reject`
        rejects, are left out, with a warning that counts them.

        Raises TooFewUtterancesError if no utterances are left or there are fewer than ranks, and UserError if
        an utterance is longer than a batch may be.
        """
        self._require(features)
        stored = self.stored.of_split(split)
        speakers = _named(stored, "speaker")
        if self.experiment.reads_text and not vocabulary.speakers and len(speakers) > 1:
            raise UserError(
                f"The split '{split}' has {len(speakers)} speakers, but the vocabulary is that of a "
                "single-speaker voice.",
                hint="Fine-tune a single-speaker voice on recordings of one speaker.",
            )
        examples, dropped = Selector(
            vocabulary=vocabulary,
            features=features,
            language=self.experiment.text.language,
            reject=reject,
        ).select(stored)
        if not examples:
            raise self._empty(split, dropped)
        if len(examples) < world_size:
            raise TooFewUtterancesError(
                f"The split '{split}' has {len(examples)} utterance{'s' * (len(examples) != 1)} that can "
                f"be used, for {world_size} ranks; each rank needs at least one.",
                hint=f"Enlarge the split (data.splits.{split}), or use fewer devices.",
            )
        if dropped:
            _log.warning(
                "%d of %d utterances of the split '%s' are left out: %s",
                len(dropped),
                len(stored),
                split,
                _counted(dropped.counted(_NAMED)),
            )
        context = SamplingContext(
            split=split,
            utterances=examples.stored.utterances,
            seconds=_as_sequence(examples.stored.seconds),
            weights=_as_sequence(self._weights(examples.stored, weighted)),
            once=not weighted,
            shuffle=split == "train",
            ranks=world_size,
            seed=self.experiment.runtime.seed,
        )
        batching = self.experiment.data.batching
        sampler = open_sampler(batching, context, self.registry)
        loader = EpochLoader(
            examples,
            sampler,
            vocabulary.symbols,
            rank=rank,
            workers=batching.workers,
            dropped=dropped,
            fingerprint=examples.stored.fingerprint(),
        )
        if left_out := loader.dropped_this_epoch:
            by_reason: dict[str, list[tuple[str, str]]] = {}
            for id, why in left_out.items():
                by_reason.setdefault(why.reason, []).append((id, why.detail))
            _log.warning(
                "The batch sampler '%s' leaves %d of %d utterances of the split '%s' out of the first "
                "epoch: %s",
                sampler.name,
                len(left_out),
                len(examples),
                split,
                _counted((reason, len(all), all[:_NAMED]) for reason, all in by_reason.items()),
            )
        return loader

    def _weights(self, stored: StoredUtterances, weighted: bool) -> NDArray[np.float64]:
        """How often each utterance occurs in an epoch [N]."""
        if not weighted:
            return np.ones(len(stored))
        names = stored.corpus.manifest.names["corpus"]
        # The last is for None, whose number is -1.
        return np.array([self.weights.get(name, 1.0) for name in (*names, "")])[
            stored.codes("corpus")
        ]

    def _require(self, features: Sequence[str]) -> None:
        known = self.experiment.features
        for name in features:
            if name not in known:
                raise UserError(
                    f"The trainer needs the feature '{name}', which the experiment does not extract.",
                    hint=f"Add the table [features.{name}] and run `allophone extract`. "
                    f"{near_miss(name, known) or ''}".rstrip(),
                )

    def _empty(self, split: Split, dropped: LeftOut | None) -> TooFewUtterancesError:
        codes, first, counts = np.unique(
            self.stored.codes("split"), return_index=True, return_counts=True
        )
        names = self.stored.corpus.manifest.names["split"]
        available = ", ".join(
            f"{None if codes[place] < 0 else names[codes[place]]} {counts[place]}"
            for place in np.argsort(first)
        )
        if dropped:
            return TooFewUtterancesError(
                f"No utterance of the split '{split}' can be used: {_counted(dropped.counted(_NAMED))}.",
                hint="The vocabulary comes from the training split, or from the voice that is "
                "fine-tuned. Choose splits such that training has every speaker and language.",
            )
        return TooFewUtterancesError(
            f"The split '{split}' has no usable utterances. Usable utterances of all splits: "
            f"{available or 'none'}.",
            hint="Check [data.splits], and dropped.jsonl in the data directory.",
        )


def open_corpus(experiment: Experiment, registry: Registry | None = None) -> Corpus:
    """Read the manifest of an experiment and look up the stored features of its utterances.

    Raises UserError, with the command to run, if the manifest or any features are missing.
    """
    registry = registry or default_registry()
    utterances = prepared_utterances(experiment)
    features = FeatureIndex(experiment, registry)
    index = open_corpus_index(experiment, utterances.manifest, features, registry)
    usable, waiting = index.usable(experiment, utterances.rows)
    if len(waiting):
        named = ", ".join(index.manifest.utterance(row).id for row in waiting[:3].tolist())
        raise UserError(
            f"The features of {len(waiting)} of {len(utterances)} utterances are missing, or were extracted "
            f"from other texts, recordings or settings: {named}{', ...' if len(waiting) > 3 else ''}",
            hint="Run `allophone extract RECIPE`; it computes only what is missing.",
        )
    stored = StoredUtterances(index, usable)
    return Corpus(
        experiment=experiment,
        stored=stored,
        weights=_weights(experiment, stored, registry),
        learns_labels=experiment.reads_text and _not_of_texts(features, stored),
        registry=registry,
    )


def _weights(
    experiment: Experiment, stored: StoredUtterances, registry: Registry
) -> dict[str, float]:
    weights = {corpus.name: corpus.weight for corpus in named_corpora(experiment, registry)}
    unknown = {name for name in stored.names("corpus") if name not in weights}
    if unknown and set(weights.values()) - {1.0}:
        raise UserError(
            "The corpora cannot be weighted: the manifest has utterances without a corpus, or of corpora that "
            f"are not in the experiment: {', '.join(sorted(str(name) for name in unknown))}.",
            hint="Write the manifest again: allophone prepare RECIPE",
        )
    return weights


def _not_of_texts(index: FeatureIndex, stored: StoredUtterances) -> bool:
    return any(
        array.is_text and "text" not in index.extractors[name].reads
        for item in stored[:1]
        for name, array in item.features.items()
    )


def _named(stored: StoredUtterances, field: str) -> set[str]:
    return {name for name in stored.names(field) if name is not None}


def _as_sequence(values: NDArray[np.float64]) -> Sequence[float]:
    """Return the same memory as a sequence of Python's numbers; `values` is not empty."""
    return values.data.cast("B").cast("d")


def _counted(reasons: Iterable[tuple[str, int, list[tuple[str, str]]]]) -> str:
    """Write reasons with a few examples: "unknown symbol 3 (LJ001-0002: 'ß', LJ001-0007: 'æ', ...)"."""
    written = []
    for reason, count, named in reasons:
        shown = ", ".join(f"{id}: {detail}" for id, detail in named)
        written.append(f"{reason} {count} ({shown}{', ...' if count > len(named) else ''})")
    return ", ".join(written)
