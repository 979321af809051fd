"""The tables `[features.<name>]` of phones and their times. Light: attrs alone."""

from __future__ import annotations

from attrs import field, frozen, validators


@frozen(kw_only=True)
class PhonesConfig:
    """The phones that label files name, for corpora that have such files.

    silence: what is called so that aligners call "", sil, sp, spn or <eps>.
    """

    silence: str = field(default="sil", validator=validators.min_len(1))


@frozen(kw_only=True)
class DurationsConfig:
    """How many frames each of those phones lasts."""


@frozen(kw_only=True)
class AlignmentsConfig:
    """How many frames each symbol of the text lasts, by a trained voice that can align.

    voice: as `allophone say --voice` takes it: the folder of a voice or a run, or the name of an
        installed voice. Training looks for it too, to know whether it is the one that was asked.
    """

    voice: str = field(validator=validators.min_len(1))
