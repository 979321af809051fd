"""Config classes of the core's feature extractors, `[features.<name>]`. Imports attrs only."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class WaveformConfig:
    """The waveform. It has no options: `[audio]` and `[data]` decide how it is read."""


@frozen(kw_only=True)
class PhonemesConfig:
    """The symbols of the text. It has no options: `[text]` decides how they are made."""


@frozen(kw_only=True)
class MelsConfig:
    """Mel spectrograms from files, as written by `allophone synthesize --mels`.

    directory: folder with `mels.toml` and a file `<id>.npy` for each utterance.
    """

    directory: str = "mels"
