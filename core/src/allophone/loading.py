"""The corpus of an experiment, opened for training: its vocabulary, and its splits as batches.

    corpus = open_corpus(experiment, registry)
    vocabulary = corpus.build_vocabulary()
    train = corpus.loader("train", features=("waveform", "phonemes"), vocabulary=vocabulary)
    for batch in train:                 # one epoch, or what a resume has left of it
        ...

Only the manifest and the feature store are read, never the recordings, so a data directory can be
copied to the machine that trains. This module stands above the configuration, because what is stored
is found by the keys of the extractors that the experiment names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from allophone.config.experiment import Experiment
from allophone.data.batch import Batch
from allophone.data.dropped import Dropped
from allophone.data.manifest import Split, Utterance
from allophone.data.vocabulary import Vocabulary
from allophone.registry import Registry


class EpochLoader:
    """The batches of one split on one rank, epoch after epoch.

    Iterating gives the rest of the current epoch and then moves on to the next. The order depends on
    the seed and the epoch alone; every rank is given the same number of batches in every epoch, and
    over all ranks every utterance comes once an epoch. A batch counts as consumed when it is handed
    out, so a state taken after the step on batch k resumes with batch k + 1.

    epoch: epochs that were finished.
    position: batches of the current epoch that were handed out on this rank.
    dropped: utterances of the split that cannot be batched, by id, and why.
    """

    epoch: int
    position: int
    dropped: Mapping[str, Dropped]

    def __len__(self) -> int:
        """Batches of a whole epoch on this rank: the same on every rank, in every epoch."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Batch]:
        """The batches from `position` to the end of the epoch."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Epoch and position, as plain numbers and strings; the same on every rank."""
        raise NotImplementedError

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken.

        When the data, the batching or the number of ranks is not what it was, a position in the epoch
        means nothing: the epoch is begun anew, and a warning is logged.
        """
        raise NotImplementedError


@frozen(kw_only=True)
class Corpus:
    """The utterances of an experiment with what is stored of each."""

    experiment: Experiment
    utterances: tuple[Utterance, ...]

    def split(self, split: Split) -> tuple[Utterance, ...]:
        """The usable utterances of a split, in the order of the manifest; may be empty."""
        raise NotImplementedError

    def build_vocabulary(self) -> Vocabulary:
        """The symbols, speakers and languages of the training split, in sorted order."""
        raise NotImplementedError

    def loader(
        self,
        split: Split,
        *,
        features: Sequence[str],
        vocabulary: Vocabulary,
        rank: int = 0,
        world_size: int = 1,
    ) -> EpochLoader:
        """Batches of a split: shuffled for "train", in a fixed order for the others.

        UserError when nothing is left to batch, when there are fewer utterances than ranks, or when
        one utterance alone exceeds the budget of a batch; each says what to change.
        """
        raise NotImplementedError


def open_corpus(experiment: Experiment, registry: Registry | None = None) -> Corpus:
    """Read the manifest of an experiment and find what is stored of its utterances.

    UserError naming the command to run when the manifest or features are missing.
    """
    raise NotImplementedError
