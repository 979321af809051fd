"""The tables `[runtime.metrics.<name>]` of this plugin's metrics. Light: imports only attrs."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen, validators


@frozen(kw_only=True)
class IntelligibilityConfig:
    """Word and character error rates.

    model: a speech recogniser for faster-whisper: a folder, or `package:folder` for one in an installed
        package. There is none by default, and nothing is downloaded.
    beam_size: the beams of its search.
    compute_type: how it computes, as CTranslate2 names it: "int8", "float16", "float32".
    """

    model: str = ""
    beam_size: int = field(default=5, validator=validators.ge(1))
    compute_type: str = "int8"


@frozen(kw_only=True)
class MosConfig:
    """The rating that DistillMOS predicts. It has nothing to set."""


@frozen(kw_only=True)
class DnsmosConfig:
    """The ratings that DNSMOS predicts. It has nothing to set."""


@frozen(kw_only=True)
class SpeakerSimilarityConfig:
    """The similarity of speakers by Resemblyzer. It has nothing to set."""


@frozen(kw_only=True)
class F0Config:
    """The distance of F0 from the recording's.

    method: see `allophone_prosody.f0.fundamental_frequency`; all but "yin" need an extra of that package.
    f_min, f_max: the search range, Hz.
    """

    method: Literal["yin", "pyin", "praat", "dio"] = "yin"
    f_min: float = field(default=65.0, validator=validators.gt(0))
    f_max: float = field(default=500.0, validator=validators.gt(0))


@frozen(kw_only=True)
class McdConfig:
    """Mel-cepstral distortion. It has nothing to set."""


@frozen(kw_only=True)
class SpeakingRateConfig:
    """Letters and digits per second, from the first sound to the last.

    threshold_db: what lies this far below the loudest is silent, dB.
    """

    threshold_db: float = field(default=40.0, validator=validators.gt(0))


@frozen(kw_only=True)
class PausesConfig:
    """Pauses between the first sound and the last.

    pause_seconds: how long a silence has to be to count as a pause.
    threshold_db: what lies this far below the loudest is silent, dB.
    """

    pause_seconds: float = field(default=0.2, validator=validators.gt(0))
    threshold_db: float = field(default=40.0, validator=validators.gt(0))


@frozen(kw_only=True)
class SpeedConfig:
    """The speed of the synthesis. It has nothing to set."""
