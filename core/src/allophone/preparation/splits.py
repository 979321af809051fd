"""Assigns utterances to the train, validation and test splits. Imports NumPy.

Splits that a corpus publishes are kept. Other utterances are assigned by a seeded hash of the id, so that
an utterance is in the same split on every machine, in any order, and when the corpus grows.

The utterances are gone through several times instead of being kept: what is decided by is in columns of numbers.
"""

from __future__ import annotations

import hashlib
import logging
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from allophone.config.experiment import SplitsConfig
from allophone.data.manifest import SPLITS, Split, Utterance
from allophone.errors import UserError, near_miss

_log = logging.getLogger(__name__)

_NONE = -1
"""The split of an utterance that has none; those that have one have its number in `SPLITS`."""


def assign_splits(
    corpora: Sequence[Iterable[Utterance]], config: SplitsConfig
) -> Iterator[Utterance]:
    """Assign a split to every utterance; those that have one keep it.

    corpora: the utterances of each, which are iterated over more than once. They are yielded in the same order.

    Utterances of one group (one singer's song), and utterances with the same speaker and text (two
    microphones, two takes), are kept in one split. If a corpus publishes a test or validation split,
    nothing is added to it. A fraction or count above zero gets at least one utterance. Where none would be left for training,
    validation and test get a quarter each, or one utterance where two others are left, and a warning says so.

    Raises UserError if an id in `golden_test` does not exist.
    """
    rows = _read(corpora, config.seed)
    splits = rows.split.copy()
    groups = _groups(rows, corpora, config.seed)
    total = int(groups.sizes.sum())
    may_validate = ~rows.publishes("valid")[groups.corpus]
    may_test = ~rows.publishes("test")[groups.corpus]
    valid = _take(groups, np.flatnonzero(may_validate), config.valid, total)

    def last_groups() -> NDArray[np.int64]:
        left = may_test.copy()
        left[valid] = False
        return _take(groups, np.flatnonzero(left)[::-1], config.test, total, from_above=True)

    test = last_groups()
    count = len(groups.ranks)
    if count and len(valid) + len(test) >= count:
        most = max(1, count // 4)
        valid = valid[: most if count > 1 else 0]
        test = last_groups()[: most if len(valid) + 1 < count else 0]
        _log.warning(
            "data.splits.valid (%g) and data.splits.test (%g) would leave none of %d utterances to train on: "
            "%d are taken for valid and %d for test.",
            config.valid,
            config.test,
            total,
            groups.sizes[valid].sum(),
            groups.sizes[test].sum(),
        )
    of_group = np.full(count, SPLITS.index("train"), np.int8)
    of_group[valid] = SPLITS.index("valid")
    of_group[test] = SPLITS.index("test")
    splits[splits == _NONE] = of_group[groups.of_utterance]
    splits[_golden(rows, splits, corpora, config)] = SPLITS.index("golden_test")
    return (
        evolve(utterance, split=SPLITS[code])
        for utterance, code in zip(chain.from_iterable(corpora), splits, strict=True)
    )


@frozen(kw_only=True)
class _Rows:
    """Columns of all utterances [N].

    rank: in [0, 1), by id. split: as a number. corpus: its position. together: a hash, the same for
    utterances that stay in one split.
    """

    rank: NDArray[np.float64]
    split: NDArray[np.int8]
    corpus: NDArray[np.int32]
    together: NDArray[np.uint64]
    corpora: int

    def publishes(self, split: Split) -> NDArray[np.bool_]:
        """Whether each corpus has utterances in a split of its own."""
        found = np.zeros(self.corpora, bool)
        found[self.corpus[self.split == SPLITS.index(split)]] = True
        return found


@frozen(kw_only=True)
class _Groups:
    """Groups of utterances without a split, by rank [G]; the corpus is that of the first utterance.

    of_utterance: the group of each of these utterances.
    """

    ranks: NDArray[np.float64]
    sizes: NDArray[np.int64]
    corpus: NDArray[np.int32]
    of_utterance: NDArray[np.int64]


def _read(corpora: Sequence[Iterable[Utterance]], seed: int) -> _Rows:
    rank, split, corpus, together = array("d"), array("b"), array("i"), array("Q")
    for number, utterances in enumerate(corpora):
        for utterance in utterances:
            rank.append(_rank(utterance.id, seed))
            split.append(_NONE if utterance.split is None else SPLITS.index(utterance.split))
            corpus.append(number)
            together.append(_hash(_together(utterance)))
    return _Rows(
        rank=np.array(rank),
        split=np.array(split, np.int8),
        corpus=np.array(corpus, np.int32),
        together=np.array(together, np.uint64),
        corpora=len(corpora),
    )


def _groups(rows: _Rows, corpora: Sequence[Iterable[Utterance]], seed: int) -> _Groups:
    free = np.flatnonzero(rows.split == _NONE)
    _, first, of_utterance, sizes = np.unique(
        rows.together[free], return_index=True, return_inverse=True, return_counts=True
    )
    ranks = rows.rank[free][first]
    if (sizes > 1).any():
        # A group has the rank of its first id in the order of the alphabet.
        ids: dict[int, str] = {}
        members = np.full(len(rows.split), _NONE, np.int64)
        members[free] = np.where(sizes[of_utterance] > 1, of_utterance, _NONE)
        for utterance, group in zip(chain.from_iterable(corpora), members.tolist(), strict=True):
            if group != _NONE:
                ids[group] = min(ids.get(group, utterance.id), utterance.id)
        for group, id in ids.items():
            ranks[group] = _rank(id, seed)
    order = np.lexsort((first, ranks))
    position = np.empty_like(order)
    position[order] = np.arange(len(order))
    return _Groups(
        ranks=ranks[order],
        sizes=sizes[order],
        corpus=rows.corpus[free][first][order],
        of_utterance=position[of_utterance],
    )


def _take(
    groups: _Groups,
    candidates: NDArray[np.int64],
    wanted: float,
    total: int,
    *,
    from_above: bool = False,
) -> NDArray[np.int64]:
    """Return the first of some groups that make up a fraction of all utterances (below 1) or a count."""
    if wanted == 0:
        return candidates[:0]
    ranks, sizes = groups.ranks[candidates], groups.sizes[candidates]
    before = np.cumsum(sizes) - sizes
    if wanted >= 1:
        enough = before >= min(wanted, total)
    else:
        enough = ((1 - ranks if from_above else ranks) >= wanted) & (before > 0)
    return candidates[: int(enough.argmax())] if enough.any() else candidates


def _golden(
    rows: _Rows,
    splits: NDArray[np.int8],
    corpora: Sequence[Iterable[Utterance]],
    config: SplitsConfig,
) -> list[int]:
    """Return the rows to reserve for listening: the given ones, or that many of the test split, which keeps one."""
    if isinstance(config.golden_test, int):
        test = np.flatnonzero(splits == SPLITS.index("test"))
        count = min(config.golden_test, max(0, len(test) - 1))
        if len(test) and count < config.golden_test:
            _log.warning(
                "data.splits.golden_test asks for %d utterances of the split 'test', which has %d: %d are set "
                "apart, since one at least stays in it.",
                config.golden_test,
                len(test),
                count,
            )
        chosen: list[int] = test[np.argsort(rows.rank[test], kind="stable")][:count].tolist()
        return chosen
    wanted = set(config.golden_test)
    found = {
        utterance.id: row
        for row, utterance in enumerate(chain.from_iterable(corpora))
        if wanted and utterance.id in wanted
    }
    for name in config.golden_test:
        if name not in found:
            ids = [utterance.id for utterance in chain.from_iterable(corpora)]
            raise UserError(
                f"data.splits.golden_test names '{name}', but there is no such utterance.",
                hint=near_miss(name, ids),
            )
    return list(found.values())


def _together(utterance: Utterance) -> str:
    """What utterances that must stay in one split have in common."""
    words = " ".join(utterance.text.casefold().split())
    if utterance.group is not None:
        return f"group\n{utterance.group}"
    if words:
        speaker = "" if utterance.speaker is None else f"of\n{utterance.speaker}"
        return f"text\n{speaker}\n{words}"
    return f"alone\n{utterance.id}"


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _rank(name: str, seed: int) -> float:
    """Hash a name and a seed to a number in [0, 1)."""
    return _hash(f"{seed}:{name}") / 2**64
