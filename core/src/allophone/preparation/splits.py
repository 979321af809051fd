"""Assigns utterances to the train, validation and test splits. Imports the standard library and attrs only.

Splits that a corpus publishes are kept. Other utterances are assigned by a seeded hash of the id, so that
an utterance is in the same split on every machine, in any order, and when the corpus grows.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence

from attrs import evolve

from allophone.config.experiment import SplitsConfig
from allophone.data.manifest import Split, Utterance
from allophone.errors import UserError, near_miss

_log = logging.getLogger(__name__)


def assign_splits(corpora: Sequence[Sequence[Utterance]], config: SplitsConfig) -> list[Utterance]:
    """Assign a split to every utterance; those that have one keep it.

    Utterances of one group (one singer's song), and utterances with the same speaker and text (two
    microphones, two takes), are kept in one split. If a corpus publishes a test or validation split,
    nothing is added to it. A fraction or count above zero gets at least one utterance. Where none would be left for training,
    validation and test get a quarter each, or one utterance where two others are left, and a warning says so.

    Raises UserError if an id in `golden_test` does not exist.
    """
    utterances = [utterance for corpus in corpora for utterance in corpus]
    ranked = _ranked_groups((u for u in utterances if u.split is None), config.seed)
    total = sum(len(group) for _, group in ranked)
    splits: dict[str, Split] = {u.id: u.split for u in utterances if u.split is not None}
    published = _published(corpora, "valid")
    valid = _take([item for item in ranked if item[1][0].id not in published], config.valid, total)
    published = _published(corpora, "test")

    def last_groups() -> list[list[Utterance]]:
        taken = published | {u.id for group in valid for u in group}
        last = [(1 - rank, group) for rank, group in reversed(ranked) if group[0].id not in taken]
        return _take(last, config.test, total)

    test = last_groups()
    if ranked and len(valid) + len(test) >= len(ranked):
        most = max(1, len(ranked) // 4)
        valid = valid[: most if len(ranked) > 1 else 0]
        test = last_groups()[: most if len(valid) + 1 < len(ranked) else 0]
        _log.warning(
            "data.splits.valid (%g) and data.splits.test (%g) would leave none of %d utterances to train on: "
            "%d are taken for valid and %d for test.",
            config.valid,
            config.test,
            total,
            sum(map(len, valid)),
            sum(map(len, test)),
        )
    shared: tuple[tuple[Split, list[list[Utterance]]], ...] = (
        ("train", [group for _, group in ranked]),
        ("valid", valid),
        ("test", test),
    )
    for split, groups in shared:
        splits |= {utterance.id: split for group in groups for utterance in group}
    splits |= dict.fromkeys(_golden(utterances, splits, config), "golden_test")
    return [evolve(utterance, split=splits[utterance.id]) for utterance in utterances]


def _published(corpora: Iterable[Sequence[Utterance]], split: Split) -> set[str]:
    """Return the ids of all utterances of the corpora that publish this split."""
    publishing = (corpus for corpus in corpora if any(u.split == split for u in corpus))
    return {utterance.id for corpus in publishing for utterance in corpus}


def _take(
    ranked: Sequence[tuple[float, list[Utterance]]], wanted: float, total: int
) -> list[list[Utterance]]:
    """Return the first groups that make up a fraction of all utterances (below 1) or a count."""
    taken: list[list[Utterance]] = []
    count = 0
    for rank, group in ranked:
        enough = count >= min(wanted, total) if wanted >= 1 else rank >= wanted and count > 0
        if wanted == 0 or enough:
            break
        taken.append(group)
        count += len(group)
    return taken


def _golden(
    utterances: Sequence[Utterance], splits: dict[str, Split], config: SplitsConfig
) -> list[str]:
    """Return the ids to reserve for listening: the given ones, or that many of the test split, which keeps one."""
    if isinstance(config.golden_test, int):
        test = [u for u in utterances if splits[u.id] == "test"]
        ordered = sorted(test, key=lambda u: _rank(u.id, config.seed))
        count = min(config.golden_test, max(0, len(test) - 1))
        if test and count < config.golden_test:
            _log.warning(
                "data.splits.golden_test asks for %d utterances of the split 'test', which has %d: %d are set "
                "apart, since one at least stays in it.",
                config.golden_test,
                len(test),
                count,
            )
        return [u.id for u in ordered[:count]]
    for name in config.golden_test:
        if name not in splits:
            raise UserError(
                f"data.splits.golden_test names '{name}', but there is no such utterance.",
                hint=near_miss(name, splits),
            )
    return list(config.golden_test)


def _ranked_groups(
    utterances: Iterable[Utterance], seed: int
) -> list[tuple[float, list[Utterance]]]:
    """Group utterances that must stay together; returns (rank in [0, 1), group), sorted by rank."""
    groups: dict[tuple[str | None, str], list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        words = " ".join(utterance.text.casefold().split())
        if utterance.group is not None:
            groups[("", f"group {utterance.group}")].append(utterance)
        elif words:
            groups[(utterance.speaker, f"text {words}")].append(utterance)
        else:
            groups[("", f"alone {utterance.id}")].append(utterance)
    ranked = [(_rank(min(u.id for u in group), seed), group) for group in groups.values()]
    return sorted(ranked, key=lambda item: (item[0], item[1][0].id))


def _rank(name: str, seed: int) -> float:
    """Hash a name and a seed to a number in [0, 1)."""
    digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
