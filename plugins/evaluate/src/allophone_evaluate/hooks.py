"""What this plugin offers: metrics, and the command `allophone evaluate`. Light."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import CommandEntry, MetricEntry, Score
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_commands() -> Iterator[CommandEntry]:
    yield CommandEntry(
        name="evaluate",
        summary="Evaluate voices, or folders of speech, with metrics.",
        command="allophone_evaluate.command:command",
    )


@hookimpl
def allophone_metrics() -> Iterator[MetricEntry]:
    yield MetricEntry(
        name="intelligibility",
        summary="Word and character error rates of a speech recogniser's transcripts.",
        config="allophone_evaluate.config:IntelligibilityConfig",
        metric="allophone_evaluate.metrics.intelligibility:Intelligibility",
        scores=(
            Score(name="wer", better="lower", unit="%"),
            Score(name="cer", better="lower", unit="%"),
        ),
        needs_text=True,
    )
    yield MetricEntry(
        name="mos",
        summary="The rating of listeners that DistillMOS predicts, 1 to 5.",
        config="allophone_evaluate.config:MosConfig",
        metric="allophone_evaluate.metrics.mos:Mos",
        scores=(Score(name="mos", better="higher"),),
    )
    yield MetricEntry(
        name="dnsmos",
        summary="The ratings of speech, background and both that DNSMOS P.835 predicts, 1 to 5.",
        config="allophone_evaluate.config:DnsmosConfig",
        metric="allophone_evaluate.metrics.dnsmos:Dnsmos",
        scores=(
            Score(name="dnsmos", better="higher"),
            Score(name="dnsmos_signal", better="higher"),
            Score(name="dnsmos_background", better="higher"),
        ),
    )
    yield MetricEntry(
        name="speaker-similarity",
        summary="The similarity of the speaker to that of the recording, by Resemblyzer.",
        config="allophone_evaluate.config:SpeakerSimilarityConfig",
        metric="allophone_evaluate.metrics.speaker_similarity:SpeakerSimilarity",
        scores=(Score(name="speaker_similarity", better="higher"),),
        needs_reference=True,
    )
    yield MetricEntry(
        name="f0",
        summary="The distance of F0 and voicing from the recording's, aligned in time.",
        config="allophone_evaluate.config:F0Config",
        metric="allophone_evaluate.metrics.f0:F0Distance",
        scores=(
            Score(name="f0_rmse", better="lower", unit="Hz"),
            Score(name="f0_correlation", better="higher"),
            Score(name="voicing_error", better="lower", unit="%"),
        ),
        needs_reference=True,
    )
    yield MetricEntry(
        name="mcd",
        summary="Mel-cepstral distortion from the recording, aligned in time.",
        config="allophone_evaluate.config:McdConfig",
        metric="allophone_evaluate.metrics.mcd:MelCepstralDistortion",
        scores=(Score(name="mcd", better="lower", unit="dB"),),
        needs_reference=True,
    )
    yield MetricEntry(
        name="speaking-rate",
        summary="Letters and digits of the text per second of speech.",
        config="allophone_evaluate.config:SpeakingRateConfig",
        metric="allophone_evaluate.metrics.speaking_rate:SpeakingRate",
        scores=(Score(name="speaking_rate", better="neither", unit="1/s"),),
        needs_text=True,
    )
    yield MetricEntry(
        name="pauses",
        summary="The number of pauses, and the share of the time that they take.",
        config="allophone_evaluate.config:PausesConfig",
        metric="allophone_evaluate.metrics.pauses:Pauses",
        scores=(
            Score(name="pauses", better="neither"),
            Score(name="pause_share", better="neither", unit="%"),
        ),
    )
    yield MetricEntry(
        name="speed",
        summary="The real-time factor of the synthesis, and the time until the first audio.",
        config="allophone_evaluate.config:SpeedConfig",
        metric="allophone_evaluate.metrics.speed:Speed",
        scores=(
            Score(name="rtf", better="lower"),
            Score(name="first_audio", better="lower", unit="ms"),
        ),
        needs_timing=True,
    )
