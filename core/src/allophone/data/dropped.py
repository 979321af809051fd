"""Why an utterance cannot be used. Light."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Dropped:
    """Why an utterance cannot be used: a reason that is counted, and a detail that is shown.

    reason: a short phrase, the same for all utterances with the same trouble: "unreadable audio",
        "too short", "too long", "empty text", "unknown symbol".
    """

    reason: str
    detail: str
