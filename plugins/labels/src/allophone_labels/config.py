"""Config classes of the extractors of phones and durations, `[features.<name>]`. Imports attrs only."""

from __future__ import annotations

from attrs import field, frozen, validators


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
class TeacherDistancesConfig:
    """How far each recording is from what a trained voice says in its place, to find wrong texts.

    voice: a voice as in `allophone say --voice`, of the language of the texts; it need not be of the same speaker.
    """

    voice: str = field(validator=validators.min_len(1))
