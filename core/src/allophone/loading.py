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
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from attrs import Factory, frozen

from allophone.config.corpora import named_corpora
from allophone.config.experiment import Experiment
from allophone.data.batch_sampler import SamplingContext
from allophone.data.loader import EpochLoader, Example
from allophone.data.manifest import Dropped, Split, Utterance
from allophone.data.vocabulary import Vocabulary, build_vocabulary
from allophone.errors import UserError, near_miss
from allophone.feature_index import FeatureIndex, StoredUtterance, prepared_utterances
from allophone.registry import Registry, default_registry
from allophone.sampling import open_sampler
from allophone.text.symbols import SymbolTable

_log = logging.getLogger(__name__)

_NAMED = 3
"""Utterances that are named for each reason of leaving some out."""

Reject = Callable[[Mapping[str, int]], Dropped | None]
"""Returns why an utterance with features of these lengths cannot be used, or None if it can."""


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
    stored: tuple[StoredUtterance, ...]
    weights: Mapping[str, float] = Factory(dict)
    learns_labels: bool = False
    registry: Registry = Factory(default_registry)

    def split(self, split: Split) -> tuple[Utterance, ...]:
        """List the usable utterances of a split in the order of the manifest; may be empty."""
        return tuple(item.utterance for item in self._of(split))

    def longest_seconds(self, split: Split) -> float:
        """The duration of the longest usable utterance of a split; 0 where it is empty."""
        return max((item.seconds for item in self._of(split)), default=0.0)

    def build_vocabulary(self) -> Vocabulary:
        """Build the vocabulary: the sorted symbols, speakers and languages of the training split.

        Empty if a vocoder is trained. Raises UserError if the split is empty.
        """
        train = self._of("train")
        if not train:
            raise self._empty("train", {})
        if not self.experiment.reads_text:
            return Vocabulary(symbols=SymbolTable(ids={}))
        return build_vocabulary(
            self.experiment.text,
            symbols=set().union(*(item.symbols(item.features) for item in train)),
            speakers=_speakers(train),
            languages={self._language(item) for item in train},
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
        speakers = _speakers(self._of(split))
        if self.experiment.reads_text and not vocabulary.speakers and len(speakers) > 1:
            raise UserError(
                f"The split '{split}' has {len(speakers)} speakers, but the vocabulary is that of a "
                "single-speaker voice.",
                hint="Fine-tune a single-speaker voice on recordings of one speaker.",
            )
        examples: list[Example] = []
        utterances: list[Utterance] = []
        weights: list[float] = []
        dropped: dict[str, Dropped] = {}
        for item in self._of(split):
            example = self._example(item, features, vocabulary, reject)
            if isinstance(example, Dropped):
                dropped[item.utterance.id] = example
            else:
                examples.append(example)
                utterances.append(item.utterance)
                corpus = item.utterance.corpus or ""
                weights.append(self.weights.get(corpus, 1.0) if weighted else 1.0)
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
                len(dropped) + len(examples),
                split,
                _counted(dropped),
            )
        context = SamplingContext(
            split=split,
            utterances=utterances,
            seconds=[example.seconds for example in examples],
            weights=weights,
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
        )
        if loader.dropped_this_epoch:
            _log.warning(
                "The batch sampler '%s' leaves %d of %d utterances of the split '%s' out of the first "
                "epoch: %s",
                sampler.name,
                len(loader.dropped_this_epoch),
                len(utterances),
                split,
                _counted(loader.dropped_this_epoch),
            )
        return loader

    def _of(self, split: Split) -> list[StoredUtterance]:
        return [item for item in self.stored if item.utterance.split == split]

    def _language(self, item: StoredUtterance) -> str:
        return item.utterance.language or self.experiment.text.language

    def _require(self, features: Sequence[str]) -> None:
        known = self.experiment.features
        for name in features:
            if name not in known:
                raise UserError(
                    f"The trainer needs the feature '{name}', which the experiment does not extract.",
                    hint=f"Add the table [features.{name}] and run `allophone extract`. "
                    f"{near_miss(name, known) or ''}".rstrip(),
                )

    def _example(
        self,
        item: StoredUtterance,
        features: Sequence[str],
        vocabulary: Vocabulary,
        reject: Reject | None,
    ) -> Example | Dropped:
        utterance = item.utterance
        missing = vocabulary.symbols.missing(sorted(item.symbols(features)))
        if missing:
            return Dropped(reason="unknown symbol", detail=" ".join(map(repr, missing)))
        language = self._language(item)
        if vocabulary.languages and language not in vocabulary.languages:
            return Dropped(reason="unknown language", detail=language)
        if vocabulary.speakers and utterance.speaker not in vocabulary.speakers:
            return Dropped(reason="unknown speaker", detail=str(utterance.speaker))
        if reject and (why := reject(item.lengths(features, vocabulary.symbols))):
            return why
        return Example(
            id=utterance.id,
            features={name: item.features[name] for name in features},
            speaker=vocabulary.speaker_id(utterance.speaker) if vocabulary.speakers else 0,
            language=vocabulary.language_id(language) if vocabulary.languages else 0,
            seconds=item.seconds,
        )

    def _empty(self, split: Split, dropped: Mapping[str, Dropped]) -> TooFewUtterancesError:
        splits = Counter(item.utterance.split for item in self.stored)
        available = ", ".join(f"{name} {count}" for name, count in splits.items())
        if dropped:
            return TooFewUtterancesError(
                f"No utterance of the split '{split}' can be used: {_counted(dropped)}.",
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
    index = FeatureIndex(experiment, registry)
    stored: list[StoredUtterance] = []
    waiting: list[str] = []
    for utterance in utterances:
        found = index.find(utterance)
        if found is None:
            waiting.append(utterance.id)
        elif isinstance(found, StoredUtterance):
            stored.append(found)
    if waiting:
        raise UserError(
            f"The features of {len(waiting)} of {len(utterances)} utterances are missing, or were extracted "
            f"from other texts, recordings or settings: {', '.join(waiting[:3])}"
            f"{', ...' if len(waiting) > 3 else ''}",
            hint="Run `allophone extract RECIPE`; it computes only what is missing.",
        )
    return Corpus(
        experiment=experiment,
        stored=tuple(stored),
        weights=_weights(experiment, stored, registry),
        learns_labels=experiment.reads_text and _not_of_texts(index, stored),
        registry=registry,
    )


def _weights(
    experiment: Experiment, stored: Sequence[StoredUtterance], registry: Registry
) -> dict[str, float]:
    weights = {corpus.name: corpus.weight for corpus in named_corpora(experiment, registry)}
    unknown = {item.utterance.corpus for item in stored} - set(weights)
    if unknown and set(weights.values()) - {1.0}:
        raise UserError(
            "The corpora cannot be weighted: the manifest has utterances without a corpus, or of corpora that "
            f"are not in the experiment: {', '.join(sorted(str(name) for name in unknown))}.",
            hint="Write the manifest again: allophone prepare RECIPE",
        )
    return weights


def _not_of_texts(index: FeatureIndex, stored: Sequence[StoredUtterance]) -> bool:
    return any(
        array.is_text and "text" not in index.extractors[name].reads
        for item in stored[:1]
        for name, array in item.features.items()
    )


def _speakers(items: Sequence[StoredUtterance]) -> set[str]:
    return {item.utterance.speaker for item in items if item.utterance.speaker is not None}


def _counted(dropped: Mapping[str, Dropped]) -> str:
    """Count the dropped utterances by reason, naming a few: "unknown symbol 3 (LJ001-0002: 'ß', LJ001-0007: 'æ', ...)"."""
    by_reason: dict[str, list[str]] = {}
    for id, why in dropped.items():
        by_reason.setdefault(why.reason, []).append(f"{id}: {why.detail}")
    return ", ".join(
        f"{reason} {len(named)} ({', '.join(named[:_NAMED])}{', ...' if len(named) > _NAMED else ''})"
        for reason, named in by_reason.items()
    )
