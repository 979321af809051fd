"""A little corpus of synthetic speech, made on the spot: what tests and tutorials train on.

    python -m allophone_testing.corpus recordings

Every letter has a sound of its own: vowels are harmonics under two formants, consonants are noise or
a hum in a band, spaces and full stops are pauses. No one would call it a voice, but a spectrogram of it looks like
one of speech: voiced and unvoiced, loud and quiet, with as many sounds as there are letters. What is
learned from it is learned from the letters.

N samples, L letters.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

STORY = (
    "the sun rose over a quiet sea and boats came home with silver fish while children ran along "
    "the sand to meet them under white clouds in warm morning light"
)

FORMANTS = {"a": (800, 1200), "e": (500, 1900), "i": (300, 2300), "o": (500, 900), "u": (350, 700)}
"""The two resonances of each vowel, Hz."""

HUMMED = "bdgjlmnrvwyz"
"""Consonants that the voice takes part in."""

LOUDNESS = 0.5
"""The peak of a recording."""

LABELS = "labels"
"""The folder of label files in that of a corpus."""

PAUSE = "pau"
"""What label files call a letter that is silent."""


def write_corpus(
    folder: Path,
    *,
    utterances: int = 16,
    speakers: int = 1,
    sample_rate: int = 22050,
    seed: int = 0,
    labels: bool = False,
) -> None:
    """Write recordings and a `metadata.csv` into `folder`, as the corpus reader `table` reads them.

    utterances: how many; the n-th has three to five words, and so about 1 to 4 seconds.
    speakers: they differ in pitch and take turns; more than one are named in `metadata.csv`.
    labels: whether to write the true times of all letters into the folder `labels`, for `[data] labels`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    choose = random.Random(seed)
    lines = []
    for number in range(utterances):
        text = " ".join(choose.choices(STORY.split(), k=3 + number % 3)) + "."
        speaker = number % speakers
        samples = synthetic_speech(
            text, pitch=110.0 * 1.25**speaker, sample_rate=sample_rate, seed=seed + number
        )
        name = f"utterance-{number:03d}.wav"
        soundfile.write(folder / name, samples, sample_rate, subtype="PCM_16")
        if labels:
            ends = letter_ends(text, sample_rate=sample_rate, seed=seed + number) / sample_rate
            _write_labels((folder / LABELS / name).with_suffix(".lab"), text, ends)
        lines.append("|".join([name, text] + [f"speaker-{speaker}"] * (speakers > 1)))
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def synthetic_speech(
    text: str, *, pitch: float, sample_rate: int, seed: int
) -> NDArray[np.float32]:
    """What the text sounds like: float32 [N], letter after letter, each 0.09 to 0.15 seconds long.

    pitch: of the voiced sounds, Hz; it falls a little towards the end.
    """
    noise = np.random.default_rng(seed)
    ends = _ends(text, sample_rate, noise)
    falling = pitch * np.linspace(1.1, 0.9, ends[-1])
    phase = 2 * np.pi * np.cumsum(falling) / sample_rate
    samples = np.zeros(ends[-1])
    start = 0
    for letter, end in zip(text.lower(), ends.tolist(), strict=True):
        part, length = slice(start, end), end - start
        edges = np.minimum(1, 8 * np.minimum(np.arange(length), np.arange(length)[::-1]) / length)
        samples[part] = edges * _sound(letter, phase[part], pitch, sample_rate, noise)
        start = end
    samples += 1e-3 * noise.standard_normal(len(samples))
    peak: float = np.abs(samples).max()
    return (LOUDNESS * samples / peak).astype(np.float32)


def letter_ends(text: str, *, sample_rate: int, seed: int) -> NDArray[np.int64]:
    """The sample at which each letter of `synthetic_speech` ends: int64 [L]."""
    return _ends(text, sample_rate, np.random.default_rng(seed))


def _ends(text: str, sample_rate: int, noise: np.random.Generator) -> NDArray[np.int64]:
    seconds = noise.uniform(0.09, 0.15, size=len(text))
    return np.cumsum((seconds * sample_rate).astype(np.int64))


def _write_labels(path: Path, text: str, ends: NDArray[np.float64]) -> None:
    """A `.lab` file (ESPS xlabel): each letter with the second at which it ends."""
    path.parent.mkdir(exist_ok=True)
    phones = (letter if letter.isalpha() else PAUSE for letter in text.lower())
    lines = [f"{end:.6f} 125 {phone}" for phone, end in zip(phones, ends, strict=True)]
    path.write_text("\n".join(["#", *lines]) + "\n", encoding="utf-8")


def _sound(
    letter: str,
    phase: NDArray[np.float64],
    pitch: float,
    sample_rate: int,
    noise: np.random.Generator,
) -> NDArray[np.float64]:
    """One letter, on the phase [N] of the voice's fundamental."""
    if not letter.isalpha():
        return np.zeros(len(phase))
    if letter in FORMANTS:
        return _harmonics(phase, FORMANTS[letter], pitch, sample_rate)
    place = (ord(letter) - ord("a")) / 26
    if letter in HUMMED:
        return 0.6 * _harmonics(phase, (200 + 200 * place, 800 + 1500 * place), pitch, sample_rate)
    # Noise around a frequency of the letter's own.
    carrier = 2 * np.pi * (0.1 + 0.3 * place) * np.arange(len(phase))
    envelope = np.convolve(noise.standard_normal(len(phase)), np.full(8, 1 / 8), mode="same")
    return 0.8 * envelope * np.cos(carrier)


def _harmonics(
    phase: NDArray[np.float64], formants: tuple[float, float], pitch: float, sample_rate: int
) -> NDArray[np.float64]:
    numbers = np.arange(1, int(min(4000, 0.45 * sample_rate) // (1.1 * pitch)) + 1)
    frequencies = numbers * pitch
    distances = (frequencies[:, None] - np.array(formants)) / 120
    strength = (1 / (1 + distances**2)).sum(1)
    return np.asarray((strength[:, None] * np.sin(numbers[:, None] * phase)).sum(0))


def main() -> None:
    """Write a corpus where the command line says."""
    parser = argparse.ArgumentParser(description="Write a little corpus of synthetic speech.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--utterances", type=int, default=64)
    parser.add_argument("--speakers", type=int, default=1)
    parser.add_argument("--sample-rate", type=int, default=22050)
    parser.add_argument("--labels", action="store_true", help="Write the times of all letters too.")
    given = parser.parse_args()
    write_corpus(
        given.folder,
        utterances=given.utterances,
        speakers=given.speakers,
        sample_rate=given.sample_rate,
        labels=given.labels,
    )


if __name__ == "__main__":
    main()
