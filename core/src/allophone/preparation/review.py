"""What stands out in a corpus, before it is trained on: the review at the end of `allophone extract`.

It looks for recordings that are clipped, noisy or have long silence at their ends, for texts that seem to be wrong, and
for symbols of which there is too little. It only reports: utterances are left out by `data.exclude`.

What "stands out" is decided by the modified z-score of Iglewicz and Hoaglin (1993): the distance from the median in
units of the median absolute deviation, so that a few wrong texts do not hide themselves. In a large corpus a few
utterances stand out by chance, and nobody looks at thousands of them: the review is meant for some hours at most.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
from attrs import asdict, frozen
from numpy.typing import NDArray

from allophone.audio.files import read_audio
from allophone.audio.quality import Quality, measure_quality
from allophone.config import Experiment
from allophone.datasets.feature_index import FeatureIndex, StoredUtterance, prepared_utterances
from allophone.files.atomic import atomic_write
from allophone.processes.progress import Track, untracked
from allophone.registry import Registry
from allophone.text.symbols import is_sound

REVIEW = "review.json"
"""The file beside the manifest."""

CLIPPED_SAMPLES = 10
"""From this many samples in flat tops on a recording is named; low voices have a few at their highest peak."""

NOISY_DB = 20.0
"""Signal-to-noise ratio below which a recording is named."""

LONG_SILENCE = 0.5
"""Seconds of silence at the beginning or the end from which on a recording is named."""

STANDS_OUT = 3.5
"""Modified z-score from which on a value stands out, as recommended by Iglewicz and Hoaglin (1993)."""

FEWEST_VALUES = 8
"""Utterances without which there is no usual value."""

RARE = 10
"""Occurrences in the training split below which a symbol is named."""

BETTER_TEXTS = 2
"""Of 20 other texts, how many must fit a recording better than its own text for it to be named. By chance, a wrong text is
among the best two of 21 once in ten times, and is then not found."""

CLIPPING, NOISE, SILENCE = "clipping", "noise", "silence at the ends"
RATE, TEXT = "speaking rate", "another text"


@frozen(kw_only=True)
class Finding:
    """An utterance that stands out; value: what was measured, in the unit that `detail` states."""

    check: str
    id: str
    value: float
    detail: str


@frozen(kw_only=True)
class RareSymbol:
    """A symbol that occurs `count` times in the training split, for example in the utterance `example`."""

    symbol: str
    count: int
    example: str


@frozen(kw_only=True)
class Review:
    """What stands out; the worst of each check first.

    unchecked: why a check could not be made, by its name.
    file: where all of this is written.
    """

    findings: Sequence[Finding]
    rare_symbols: Sequence[RareSymbol]
    unchecked: Mapping[str, str]
    file: Path


@frozen(kw_only=True)
class _Measured:
    stored: StoredUtterance
    quality: Quality
    spoken_seconds: float
    frames: NDArray[np.float32] | None
    symbols: tuple[str, ...]

    @property
    def id(self) -> str:
        return self.stored.utterance.id


def review(experiment: Experiment, registry: Registry, *, track: Track = untracked) -> Review:
    """Review the usable utterances of an experiment whose features are extracted, and write `review.json`.

    Reads every recording again, as it is before trimming.
    """
    index = FeatureIndex(experiment, registry)
    found = [index.find(utterance) for utterance in prepared_utterances(experiment)]
    usable = [one for one in found if isinstance(one, StoredUtterance)]
    symbols = _text_feature(usable)
    text_fit = _text_fit() if symbols else None
    measured = [
        _measured(one, symbols, text_fit)
        for one in track(usable, total=len(usable), description="Reviewing")
    ]
    unchecked: dict[str, str] = {}
    findings = [*_clipping(measured), *_noise(measured)]
    if experiment.data.trim_db is None:
        findings += _silence(measured)
    if symbols is None:
        why = "no feature holds symbols of the text"
        unchecked |= dict.fromkeys((RATE, TEXT, "rare symbols"), why)
    else:
        findings += _standing_out(
            RATE, measured, _log_rate, _described_rate, unchecked, both_sides=True
        )
        if text_fit is None:
            unchecked[TEXT] = "PyTorch is not installed (pip install 'allophone[torch]')"
        else:
            findings += _other_texts(measured, text_fit, unchecked)
    for name in _scalar_features(usable):
        findings += _standing_out(name, measured, partial(_scalar, name), _described, unchecked)
    made = Review(
        findings=findings,
        rare_symbols=_rare_symbols(measured),
        unchecked=unchecked,
        file=Path(experiment.data.directory).expanduser() / REVIEW,
    )
    _write(made, usable)
    return made


def _text_fit() -> ModuleType | None:
    """The module `text_fit`, which needs PyTorch; None where that is not installed."""
    try:
        from allophone.preparation import text_fit
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return None
    return text_fit


def _measured(
    stored: StoredUtterance, symbols: str | None, text_fit: ModuleType | None
) -> _Measured:
    utterance = stored.utterance
    audio = read_audio(utterance.audio, start=utterance.start, end=utterance.end)
    quality = measure_quality(audio.samples, audio.sample_rate)
    return _Measured(
        stored=stored,
        quality=quality,
        spoken_seconds=max(audio.seconds - quality.before - quality.after, 0.01),
        frames=text_fit.frames_of(audio.samples, audio.sample_rate) if text_fit else None,
        symbols=tuple(stored.features[symbols].read().tolist()) if symbols else (),
    )


def _text_feature(usable: Sequence[StoredUtterance]) -> str | None:
    """The first feature that holds symbols."""
    names = usable[0].features.items() if usable else ()
    return next((name for name, array in names if array.is_text), None)


def _scalar_features(usable: Sequence[StoredUtterance]) -> list[str]:
    """The features that hold one number an utterance."""
    names = usable[0].features.items() if usable else ()
    return [name for name, array in names if not array.shape and not array.is_text]


def _clipping(measured: Sequence[_Measured]) -> list[Finding]:
    return _worst_first(
        Finding(
            check=CLIPPING,
            id=one.id,
            value=one.quality.clipped,
            detail=f"{one.quality.clipped:,} samples in flat tops",
        )
        for one in measured
        if one.quality.clipped >= CLIPPED_SAMPLES
    )


def _noise(measured: Sequence[_Measured]) -> list[Finding]:
    found = [
        Finding(
            check=NOISE,
            id=one.id,
            value=snr,
            detail=f"a signal-to-noise ratio of about {snr:.0f} dB",
        )
        for one in measured
        if (snr := one.quality.snr_db) is not None and snr < NOISY_DB
    ]
    return sorted(found, key=lambda one: one.value)


def _silence(measured: Sequence[_Measured]) -> list[Finding]:
    return _worst_first(
        Finding(
            check=SILENCE,
            id=one.id,
            value=max(one.quality.before, one.quality.after),
            detail=f"{one.quality.before:.2f} s before and {one.quality.after:.2f} s after the speech",
        )
        for one in measured
        if max(one.quality.before, one.quality.after) >= LONG_SILENCE
    )


def _log_rate(one: _Measured) -> float:
    """The logarithm of symbols a second, without the silence at the ends; NaN without symbols."""
    return float(np.log(len(one.symbols) / one.spoken_seconds)) if one.symbols else float("nan")


def _described_rate(value: float, usual: float) -> tuple[float, str]:
    rate = float(np.exp(value))
    return rate, f"{rate:.1f} symbols a second; usual are {np.exp(usual):.1f}"


def _other_texts(
    measured: Sequence[_Measured], text_fit: ModuleType, unchecked: dict[str, str]
) -> list[Finding]:
    """Recordings that other texts fit better."""
    frames = [one.frames for one in measured if one.frames is not None]
    counts = text_fit.count_better_texts(frames, [one.symbols for one in measured])
    if aside := counts.count(None):
        unchecked[f"{TEXT} in {aside:,} recordings"] = (
            f"it takes texts of {text_fit.FEWEST_SOUNDS} sounds, and {text_fit.FEWEST_TEXTS} different ones"
        )
    return _worst_first(
        Finding(
            check=TEXT,
            id=one.id,
            value=count,
            detail=f"{count} of {text_fit.OTHERS} other texts of about the same length fit it better than its own",
        )
        for one, count in zip(measured, counts, strict=True)
        if count is not None and count >= BETTER_TEXTS
    )


def _scalar(name: str, one: _Measured) -> float:
    return float(one.stored.features[name].read())


def _described(value: float, usual: float) -> tuple[float, str]:
    return value, f"{value:.3g}; usual are {usual:.3g}"


def _standing_out(
    check: str,
    measured: Sequence[_Measured],
    measure: Callable[[_Measured], float],
    describe: Callable[[float, float], tuple[float, str]],
    unchecked: dict[str, str],
    *,
    both_sides: bool = False,
) -> list[Finding]:
    """The utterances whose value is far above the median, or below it too; those without a value are left aside."""
    values = np.array([measure(one) for one in measured])
    known = values[np.isfinite(values)]
    if len(known) < FEWEST_VALUES:
        unchecked[check] = f"{len(known)} utterances have a value; it takes {FEWEST_VALUES}"
        return []
    scores = _modified_z_scores(values, known)
    scores = np.nan_to_num(np.abs(scores) if both_sides else scores)
    usual = float(np.median(known))
    found = []
    for place in np.argsort(-scores, kind="stable"):
        if scores[place] < STANDS_OUT:
            break
        value, detail = describe(float(values[place]), usual)
        found.append(Finding(check=check, id=measured[place].id, value=value, detail=detail))
    return found


def _modified_z_scores(
    values: NDArray[np.float64], known: NDArray[np.float64]
) -> NDArray[np.float64]:
    """0.6745 (x - median) / MAD of values [U], where median and MAD are of the finite ones.

    If more than half of the values are equal, the MAD is 0, and 1.2533 times the mean absolute deviation takes its place,
    as the authors propose. Both factors make the score of a Gaussian a z-score.
    """
    median = np.median(known)
    deviations = np.abs(known - median)
    scale = np.median(deviations) / 0.6745 or deviations.mean() * 1.2533
    return (values - median) / scale if scale else np.zeros_like(values)


def _rare_symbols(measured: Sequence[_Measured]) -> list[RareSymbol]:
    """Sounds of the training split that are rare, the rarest first."""
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for one in measured:
        if one.stored.utterance.split == "train":
            counts.update(one.symbols)
            for symbol in one.symbols:
                examples.setdefault(symbol, one.id)
    return [
        RareSymbol(symbol=symbol, count=count, example=examples[symbol])
        for symbol, count in sorted(counts.items(), key=lambda item: (item[1], item[0]))
        if count < RARE and is_sound(symbol)
    ]


def _worst_first(findings: Iterator[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda one: -one.value)


def _write(made: Review, usable: Sequence[StoredUtterance]) -> None:
    plain = {
        "utterances": len(usable),
        "minutes": round(sum(one.seconds for one in usable) / 60, 2),
        "findings": [asdict(one) for one in made.findings],
        "rare_symbols": [asdict(one) for one in made.rare_symbols],
        "unchecked": dict(made.unchecked),
    }
    with atomic_write(made.file) as file:
        file.write(json.dumps(plain, ensure_ascii=False, indent=1).encode() + b"\n")
