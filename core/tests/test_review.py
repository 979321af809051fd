"""The review of a corpus: recordings that are clipped, noisy or mostly silent, wrong texts, rare symbols."""

from __future__ import annotations

import json
import random
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
from attrs import frozen
from click.testing import CliRunner

from allophone.audio.quality import measure_quality
from allophone.cli.extract import command
from allophone.config import structure
from allophone.config.experiment import Experiment
from allophone.datasets.feature_index import prepared_utterances
from allophone.entries import FeatureExtractorEntry
from allophone.errors import UserError
from allophone.hookspecs import hookimpl
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.preparation.review import BETTER_TEXTS, FEWEST_VALUES, RARE, review
from allophone.preparation.text_fit import FEWEST_TEXTS, count_better_texts, frames_of
from allophone.registry import build_registry, default_registry
from allophone.text.symbols import is_sound
from allophone_testing.corpus import STORY, synthetic_speech

RATE = 16000
WORDS = STORY.split()


def speech(text: str, seed: int = 0) -> np.ndarray:
    return synthetic_speech(text, pitch=120.0, sample_rate=RATE, seed=seed)


def texts_of(count: int, seed: int = 0) -> list[str]:
    choose = random.Random(seed)
    return [" ".join(choose.sample(WORDS, 4)) for _ in range(count)]


def quality_of(samples: np.ndarray):
    return measure_quality(samples.astype(np.float32), RATE)


# The samples of one recording.


def test_clean_speech_has_no_fault() -> None:
    quality = quality_of(speech("the sun rose over a quiet sea"))
    assert quality.clipped < 5
    assert quality.snr_db > 30
    assert max(quality.before, quality.after) < 0.3


@pytest.mark.parametrize("later", [1.0, 0.5])
def test_clipping_is_seen_also_after_scaling_down(later: float) -> None:
    samples = np.clip(3 * speech("boats came home with silver fish"), -1, 1)
    assert quality_of(later * samples).clipped > 50


@pytest.mark.parametrize(("noise", "snr"), [(0.05, (5, 18)), (0.005, (22, 40))])
def test_noise_is_estimated(noise: float, snr: tuple[int, int]) -> None:
    clean = speech("boats came home with silver fish")
    noisy = clean + noise * np.random.default_rng(0).standard_normal(len(clean))
    assert snr[0] < quality_of(noisy).snr_db < snr[1]


def test_silence_is_measured_at_both_ends() -> None:
    padded = np.pad(speech("boats"), (RATE, RATE // 2))
    quality = quality_of(padded)
    assert 0.95 < quality.before < 1.2
    assert 0.45 < quality.after < 0.7


@pytest.mark.parametrize("count", [1, 100, 399])
def test_tiny_recordings_have_no_snr(count: int) -> None:
    assert quality_of(0.1 * np.ones(count)).snr_db is None


def test_digital_silence_is_no_noise() -> None:
    quality = quality_of(np.pad(speech("boats came home"), (RATE, RATE)))
    assert quality.snr_db > 60


# Texts that fit.


@pytest.fixture(scope="module")
def said() -> tuple[list[np.ndarray], list[tuple[str, ...]]]:
    texts = texts_of(60)
    frames = [frames_of(speech(text, seed), RATE) for seed, text in enumerate(texts)]
    return frames, [tuple(text) for text in texts]


def test_right_texts_fit_best(said) -> None:
    assert max(count_better_texts(*said)) < BETTER_TEXTS


def test_swapped_texts_fit_no_better_than_others(said) -> None:
    frames, texts = said
    by_length = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    one, other = by_length[30], by_length[31]
    swapped = list(texts)
    swapped[one], swapped[other] = texts[other], texts[one]
    counts = count_better_texts(frames, swapped)
    assert min(counts[one], counts[other]) >= BETTER_TEXTS
    assert sum(count >= BETTER_TEXTS for count in counts) == 2


def test_too_few_texts_are_not_compared(said) -> None:
    frames, texts = said
    few = FEWEST_TEXTS - 1
    assert count_better_texts(frames[:few], texts[:few]) == [None] * few


def test_a_text_longer_than_its_recording_is_not_compared(said) -> None:
    frames, texts = said
    counts = count_better_texts([frames[0][:5], *frames[1:]], texts)
    assert counts[0] is None
    assert None not in counts[1:]


@pytest.mark.parametrize(
    ("symbol", "sound"),
    [
        ("a", True),
        ("ʃ", True),
        ("AH0", True),
        ("ˈ", False),
        ("ː", False),
        (",", False),
        (" ", False),
    ],
)
def test_sounds_are_told_from_marks(symbol: str, sound: bool) -> None:
    assert is_sound(symbol) is sound


# A whole corpus.


def experiment_of(folder: Path, **data) -> Experiment:
    table = {"type": "table", "root": str(folder), "columns": ["audio", "text"]}
    plain = {
        "data": {"corpora": [table], "directory": str(folder / "data"), **data},
        "text": {"normalize": False, "phonemizer": {"type": "graphemes"}},
        "audio": {"sample_rate": RATE},
        "features": {"waveform": {}, "phonemes": {}},
    }
    return structure(Experiment, plain, where="The test")


def write(folder: Path, texts: list[str], recordings: list[np.ndarray]) -> None:
    lines = []
    for number, (text, samples) in enumerate(zip(texts, recordings, strict=True)):
        name = f"u{number:02}.wav"
        soundfile.write(folder / name, samples, RATE, subtype="PCM_16")
        lines.append(f"{name}|{text}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", "utf-8")


def reviewed(experiment: Experiment, registry=None):
    registry = registry or default_registry()
    prepare(experiment, registry)
    extract(experiment, registry)
    return review(experiment, registry)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> Path:
    """50 recordings: 1 is clipped, 2 noisy, 3 has silence, 4 is spoken too fast, 20 has the text of 21 and 21 that of 20."""
    folder = tmp_path_factory.mktemp("faulty")
    texts = texts_of(50, seed=1)
    texts[7] = "the zoo quiz"
    recordings = [speech(text, seed) for seed, text in enumerate(texts)]
    recordings[1] = np.clip(4 * recordings[1], -1, 1)
    recordings[2] = recordings[2] + 0.1 * np.random.default_rng(0).standard_normal(
        len(recordings[2])
    )
    recordings[2] /= np.abs(recordings[2]).max() * 1.1
    recordings[3] = np.pad(recordings[3], (RATE, 0))
    recordings[4] = recordings[4][::4]
    texts[20], texts[21] = texts[21], texts[20]
    write(folder, texts, recordings)
    return folder


def test_each_fault_is_named_by_id(faulty: Path) -> None:
    made = reviewed(experiment_of(faulty))
    found = {check: [] for check in ("clipping", "noise", "silence at the ends", "speaking rate")}
    for one in made.findings:
        found.setdefault(one.check, []).append(one.id)
    assert found["clipping"] == ["u01"]
    assert found["noise"] == ["u02"]
    assert found["silence at the ends"] == ["u03"]
    assert found["speaking rate"][0] == "u04"
    assert {"u20", "u21"} <= set(found["another text"])
    assert len(found["another text"]) <= 4
    assert made.unchecked.keys() <= {"another text in 1 recordings"}  # u04 has too few frames
    rare = {one.symbol: one for one in made.rare_symbols}
    assert (rare["z"].count, rare["z"].example) == (2, "u07")
    assert all(one.count < RARE for one in made.rare_symbols)
    assert "e" not in rare
    assert " " not in rare
    written = json.loads((faulty / "data" / "review.json").read_text("utf-8"))
    assert written["utterances"] == 50
    assert [one["id"] for one in written["findings"]] == [one.id for one in made.findings]
    assert written["rare_symbols"][0] == {
        "symbol": made.rare_symbols[0].symbol,
        "count": made.rare_symbols[0].count,
        "example": made.rare_symbols[0].example,
    }


def test_trimmed_silence_is_not_reported(faulty: Path) -> None:
    made = reviewed(experiment_of(faulty, trim_db=40.0))
    assert "silence at the ends" not in {one.check for one in made.findings}


def test_a_tiny_corpus_says_what_was_not_checked(tmp_path: Path) -> None:
    texts = texts_of(FEWEST_VALUES - 1)
    write(tmp_path, texts, [speech(text) for text in texts])
    made = reviewed(experiment_of(tmp_path))
    assert "7 utterances have a value; it takes 8" in made.unchecked["speaking rate"]
    assert f"{FEWEST_TEXTS} different ones" in made.unchecked["another text in 7 recordings"]


def test_excluded_utterances_are_left_out(faulty: Path) -> None:
    experiment = experiment_of(faulty, exclude=["u01", "u02"])
    ids = [one.id for one in prepared_utterances(experiment)]
    assert len(ids) == 48
    assert not {"u01", "u02"} & set(ids)
    assert not {"u01", "u02"} & {one.id for one in reviewed(experiment).findings}


def test_an_unknown_excluded_utterance_is_an_error(faulty: Path) -> None:
    with pytest.raises(UserError, match=r"data\.exclude: there is no utterance 'u1'"):
        prepared_utterances(experiment_of(faulty, exclude=["u1"]))


@frozen(kw_only=True)
class ScoreConfig:
    """The feature `score`."""


class Scores:
    """0 to 0.4, but 9 for u08, and none for u09."""

    reads = frozenset({"text"})
    key = {"version": 1}  # noqa: RUF012

    def __init__(self, config, context) -> None:
        pass

    def extract(self, utterances):
        for one in utterances:
            number = int(one.id[1:])
            yield np.array({8: 9.0, 9: np.nan}.get(number, number % 5 / 10))


def test_scalar_features_that_stand_out_are_named(faulty: Path) -> None:
    plugin = types.ModuleType("toy_scores")
    plugin.CONTRACT = 1

    @hookimpl
    def allophone_feature_extractors():
        yield FeatureExtractorEntry(
            name="score",
            summary="-",
            config=f"{__name__}:ScoreConfig",
            extractor=f"{__name__}:Scores",
        )

    plugin.allophone_feature_extractors = allophone_feature_extractors
    registry = build_registry({"toy_scores": plugin})
    table = {"type": "table", "root": str(faulty), "columns": ["audio", "text"]}
    plain = {
        "data": {"corpora": [table], "directory": str(faulty / "scored")},
        "text": {"normalize": False, "phonemizer": {"type": "graphemes"}},
        "audio": {"sample_rate": RATE},
        "features": {"phonemes": {}, "score": {}},
    }
    made = reviewed(structure(Experiment, plain, where="The test", registry=registry), registry)
    (found,) = (one for one in made.findings if one.check == "score")
    assert (found.id, found.value) == ("u08", 9.0)
    assert found.detail == "9; usual are 0.2"


def run(folder: Path, *arguments: str):
    from allophone.config import unstructure, write_toml

    write_toml(folder / "experiment.toml", unstructure(experiment_of(folder)))
    return CliRunner().invoke(command, [str(folder / "experiment.toml"), *arguments])


def test_extract_prints_the_review(faulty: Path) -> None:
    prepare(experiment_of(faulty), default_registry())
    done = run(faulty, "--workers", "1")
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    for words in ("u01", "u02", "u03", "u04", "data.exclude", "data.trim_db", "z 2 (as in u07)"):
        assert words in said
    assert "review.json" in said
    without = run(faulty, "--no-review", "--workers", "1")
    assert "stand out" not in without.output


def test_a_shard_is_not_reviewed(faulty: Path) -> None:
    prepare(experiment_of(faulty), default_registry())
    done = run(faulty, "--shard", "1/2", "--workers", "1")
    assert done.exit_code == 0
    assert "stand out" not in done.output
    refused = run(faulty, "--shard", "1/2", "--workers", "1", "--review")
    assert isinstance(refused.exception, UserError)
    assert "without --shard" in refused.exception.hint
