"""What the operator of a server decides."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Options:
    """The limits of a server, and who may use it.

    places: how many requests may be waiting or spoken at once; further ones get 429.
    workers: threads that synthesize.
    characters: the longest text.
    body: the largest request body, bytes.
    first_timeout: seconds that a request may wait for its first audio.
    timeout: seconds that a request may take in all.
    cache: bytes of finished audio that are kept for requests that are made again; 0 for none.
    keys: API keys; without any, none is asked for.
    origins: origins whose web pages may use the server (CORS).
    """

    places: int = 64
    workers: int = 1
    characters: int = 5000
    body: int = 1_000_000
    first_timeout: float = 30.0
    timeout: float = 600.0
    cache: int = 0
    keys: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
