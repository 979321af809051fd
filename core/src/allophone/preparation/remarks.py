"""What is odd about recordings that are used all the same, kept from one extraction to the next.

A recording is read once, and what is stored of it is known by its content; so are the remarks on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from allophone.data.manifest import Remark, Utterance
from allophone.datasets.feature_index import SECONDS, FeatureIndex
from allophone.errors import UserError
from allophone.files.atomic import atomic_write
from allophone.files.parsing import parse_json_object


@frozen(kw_only=True)
class Remarked:
    """A remark on an utterance; `key` is of what its recording holds."""

    key: str
    id: str
    remark: Remark


def remarks_of(index: FeatureIndex, utterances: Iterable[Utterance]) -> list[Remarked]:
    """The remarks on those of some utterances whose recordings were just read."""
    return [
        Remarked(key=index.key(SECONDS, utterance), id=utterance.id, remark=remark)
        for utterance in utterances
        if (remark := index.recordings.remarks.get(utterance.id))
    ]


def remarks_on(
    index: FeatureIndex, utterances: Sequence[Utterance], known: Mapping[str, Remarked]
) -> list[Remarked]:
    """The remarks on all of some utterances, out of those that are known by key."""
    keyed = ((index.key(SECONDS, utterance), utterance) for utterance in utterances)
    return [
        Remarked(key=key, id=utterance.id, remark=known[key].remark)
        for key, utterance in keyed
        if key in known
    ]


def read_remarks(path: Path) -> dict[str, Remarked]:
    """The remarks in a file by key; none where there is no such file, or it is damaged."""
    try:
        lines = [
            parse_json_object(line, str(path))
            for line in path.read_text(encoding="utf-8").splitlines()
        ]
        return {
            line["key"]: Remarked(
                key=line["key"],
                id=line["id"],
                remark=Remark(reason=line["reason"], detail=line["detail"]),
            )
            for line in lines
        }
    except (OSError, ValueError, LookupError, TypeError, UserError):
        return {}


def write_remarks(path: Path, remarks: Iterable[Remarked]) -> None:
    """Write remarks, one JSON object a line: id, reason, detail, key."""
    with atomic_write(path) as file:
        for each in remarks:
            line = {
                "id": each.id,
                "reason": each.remark.reason,
                "detail": each.remark.detail,
                "key": each.key,
            }
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
