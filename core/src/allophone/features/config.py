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
class PhonesConfig:
    """The phones in label files, for corpora that have them.

    silence: symbol for the intervals that aligners label "", sil, sp, spn or <eps>.
    """

    silence: str = field(default="sil", validator=validators.min_len(1))


@frozen(kw_only=True)
class DurationsConfig:
    """The duration in frames of each phone in label files."""


@frozen(kw_only=True)
class AlignmentsConfig:
    """The duration in frames of each symbol of the text, from a trained voice that can align.

    voice: a voice as in `allophone say --voice`: a voice folder, a run, or the name of an installed voice.
        Training needs it too, to check that the stored features are from this voice.
    """

    voice: str = field(validator=validators.min_len(1))


@frozen(kw_only=True)
class MelsConfig:
    """Mel spectrograms from files, as written by `allophone synthesize --mels`.

    directory: folder with `mels.toml` and a file `<id>.npy` for each utterance.
    """

    directory: str = "mels"
