"""The tables `[features.<name>]` of core's own extractors. Light: attrs alone."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class WaveformConfig:
    """The recording itself; `[audio]` and `[data]` say all there is to say about it."""


@frozen(kw_only=True)
class PhonemesConfig:
    """The symbols of the text; `[text]` says how they are made."""


@frozen(kw_only=True)
class MelsConfig:
    """Mel spectrograms from files, as `allophone synthesize --mels` writes them.

    directory: the folder with a file `<id>.npy` for each utterance, and `mels.toml`.
    """

    directory: str = "mels"
