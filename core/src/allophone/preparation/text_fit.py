"""Whether recordings say their texts, judged by the corpus itself: no model of the language or of a voice is needed.

Every symbol gets a Gaussian of the log-mels of its frames. Recordings are aligned with their texts, at first evenly and
then by the Gaussians, which are estimated again from each alignment (Viterbi training of monophones, as speech recognition
begins with: Rabiner 1989, section V). A few wrong texts hardly change what is learned from all. Then each
recording is aligned with its own text and with some others of about the same length: a text that is not said fits no
better than those.

Needs PyTorch, which the rest of an extraction may not need.

F frames, M mels, C = 2 M values of a frame, K kinds of symbols, T symbols of a text, U utterances.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from allophone.alignment import monotonic_alignment
from allophone.audio.files import resample
from allophone.audio.melspec import MelSpec
from allophone.audio.silence import trim_silence
from allophone.audio.spectrogram import mel_spectrogram
from allophone.text.symbols import is_sound

OTHERS = 20
"""Other texts that a recording is compared with."""

FEWEST_TEXTS = 2 * OTHERS
"""Different texts without which this is not tried."""

FEWEST_SOUNDS = 8
"""Sounds of a text below which others fit as well by chance."""

_AUDIO = MelSpec(
    sample_rate=16000, n_fft=1024, win_length=640, hop_length=256, n_mels=40, f_min=100.0, f_max=7000.0,
    log_base="10", log_gain=20.0, log_floor=1e-5,
)  # fmt: skip
"""Mels in dB."""

_RANGE_DB = 50.0
"""What is this far below the loudest mel of an utterance is silence."""

_ROUNDS = 8
"""Alignments after which the Gaussians change little."""

_PRIOR_FRAMES = 20
"""Weight of the Gaussian of all frames in that of a symbol, which may have a few frames only."""

_LEAST_VARIANCE = 0.05

_EDGE = "<edge>"
"""The sound before and after the text."""

Frames = NDArray[np.float32]


def frames_of(samples: NDArray[np.float32], sample_rate: int) -> Frames:
    """Log-mels and their slopes [F, C] of a recording [N], without silence at its ends; each mel has mean 0 and variance 1."""
    samples = resample(samples, sample_rate, _AUDIO.sample_rate)
    spoken = trim_silence(samples, _AUDIO.sample_rate, threshold_db=40.0)
    if len(spoken) < _AUDIO.min_samples:
        spoken = np.pad(spoken, (0, _AUDIO.min_samples - len(spoken)))
    mel = mel_spectrogram(torch.from_numpy(spoken)[None], _AUDIO)[0].T.numpy()
    mel = np.maximum(mel, mel.max() - _RANGE_DB)
    mel = (mel - mel.mean(0)) / np.maximum(mel.std(0), 1.0)
    padded = np.pad(mel, ((2, 2), (0, 0)), mode="edge")
    return np.concatenate([mel, (padded[4:] - padded[:-4]) / 2], axis=1).astype(np.float32)


def count_better_texts(
    frames: Sequence[Frames], texts: Sequence[tuple[str, ...]]
) -> list[int | None]:
    """How many of `OTHERS` texts of about the same length fit each recording better than its own [U].

    texts: the symbols of each; blanks between words count as pauses, and other marks do not.
    None for a text of fewer than `FEWEST_SOUNDS`, for a recording with fewer frames than its text has symbols, and for
    all if there are fewer than `FEWEST_TEXTS` different texts.
    """
    said = [
        (_EDGE, *(one for one in text if is_sound(one) or one.isspace()), _EDGE) for text in texts
    ]
    if len(set(said)) < FEWEST_TEXTS:
        return [None] * len(said)
    kinds = {symbol: number for number, symbol in enumerate(sorted(set().union(*said)))}
    tokens = [np.array([kinds[symbol] for symbol in text]) for text in said]
    usable = [u for u, text in enumerate(tokens) if len(text) <= len(frames[u])]
    gaussians = _learned([frames[u] for u in usable], [tokens[u] for u in usable], kinds=len(kinds))
    by_length = sorted(range(len(said)), key=lambda u: len(said[u]))
    ranks = {u: rank for rank, u in enumerate(by_length)}
    counts: list[int | None] = [None] * len(said)
    for u in usable:
        if sum(map(is_sound, texts[u])) < FEWEST_SOUNDS:
            continue
        others = _neighbours(said, by_length, ranks[u], len(frames[u]))
        scores = gaussians.scores(frames[u])
        fits = [_mean_score(scores, tokens[each]) for each in (u, *others)]
        counts[u] = sum(other > fits[0] for other in fits[1:])
    return counts


class _Gaussians:
    """A Gaussian with a diagonal covariance for each kind of symbol: mean and variance [K, C]."""

    def __init__(self, mean: NDArray[np.float64], variance: NDArray[np.float64]) -> None:
        precision = 1 / variance
        self._linear = (mean * precision).T.astype(np.float32)
        self._square = (-0.5 * precision).T.astype(np.float32)
        self._constant = -0.5 * (mean**2 * precision + np.log(variance)).sum(1)

    def scores(self, frames: Frames) -> NDArray[np.float32]:
        """Log-likelihoods [F, K] without their constant, relative to the best symbol of each frame."""
        scores = frames @ self._linear + frames**2 @ self._square + self._constant
        return np.asarray(scores - scores.max(1, keepdims=True), dtype=np.float32)


def _learned(
    frames: Sequence[Frames], tokens: Sequence[NDArray[np.int64]], *, kinds: int
) -> _Gaussians:
    paths = [
        text[np.arange(len(each)) * len(text) // len(each)]
        for each, text in zip(frames, tokens, strict=True)
    ]
    every = np.concatenate(frames).astype(np.float64)
    mean, variance = every.mean(0), every.var(0)
    for turn in range(_ROUNDS):
        gaussians = _estimated(every, np.concatenate(paths), mean, variance, kinds)
        if turn + 1 < _ROUNDS:
            paths = [
                text[_path(gaussians.scores(each), text)]
                for each, text in zip(frames, tokens, strict=True)
            ]
    return gaussians


def _estimated(
    every: NDArray[np.float64],
    path: NDArray[np.int64],
    mean: NDArray[np.float64],
    variance: NDArray[np.float64],
    kinds: int,
) -> _Gaussians:
    """The Gaussians of all frames [F, C] by their symbols [F], drawn to the mean and variance [C] of all."""
    order = np.argsort(path, kind="stable")
    counts = np.bincount(path, minlength=kinds)
    means, variances = np.tile(mean, (kinds, 1)), np.tile(variance, (kinds, 1))
    for kind, own in enumerate(np.split(every[order], np.cumsum(counts)[:-1])):
        if len(own):
            weight = len(own) / (len(own) + _PRIOR_FRAMES)
            means[kind] = weight * own.mean(0) + (1 - weight) * mean
            variances[kind] = weight * own.var(0) + (1 - weight) * variance
    return _Gaussians(means, variances + _LEAST_VARIANCE)


def _path(scores: NDArray[np.float32], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place in the text [F] of each frame."""
    values = torch.from_numpy(np.ascontiguousarray(scores[:, tokens]))[None]
    lengths = torch.tensor([len(scores)]), torch.tensor([len(tokens)])
    return monotonic_alignment(values, *lengths).index[0].numpy()


def _mean_score(scores: NDArray[np.float32], tokens: NDArray[np.int64]) -> float:
    """The mean score of a frame along the best path."""
    path = tokens[_path(scores, tokens)]
    return float(scores[np.arange(len(scores)), path].mean())


def _neighbours(
    said: Sequence[tuple[str, ...]], by_length: Sequence[int], rank: int, frames: int
) -> list[int]:
    """The utterances nearest in length whose texts are others, and not longer than there are frames."""
    own = said[by_length[rank]]
    found: dict[tuple[str, ...], int] = {}
    for distance in range(1, len(by_length)):
        for place in (rank - distance, rank + distance):
            if 0 <= place < len(by_length) and len(found) < OTHERS:
                text = said[by_length[place]]
                if text != own and len(text) <= frames:
                    found.setdefault(text, by_length[place])
    return list(found.values())
