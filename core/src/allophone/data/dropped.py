"""Why an utterance cannot be used. Light."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from allophone.atomic import written_whole


@frozen(kw_only=True)
class Dropped:
    """Why an utterance cannot be used: a reason that is counted, and a detail that is shown.

    reason: a short phrase, the same for all utterances with the same trouble: "unreadable audio",
        "too short", "too long", "empty text", "unknown symbol".
    """

    reason: str
    detail: str


def write_dropped(path: Path, dropped: Mapping[str, Dropped]) -> None:
    """Write which utterances were left out, by id, and why: one JSON object a line."""
    with written_whole(path) as file:
        for id, why in dropped.items():
            line = {"id": id, "reason": why.reason, "detail": why.detail}
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
