"""Durations by a trained voice: the extractor `alignments`, with a toy that shares frames evenly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from attrs import evolve

from allophone.data.manifest import Dropped, Utterance
from allophone.errors import UserError
from allophone.features.config import AlignmentsConfig
from allophone.features.protocol import ExtractionContext
from allophone.frontend import build_frontend
from allophone.inference import alignments
from allophone.inference.alignments import AlignmentsExtractor
from allophone.inference.folder import write_voice
from allophone.text.config import GraphemeConfig, TextConfig

TEXT = TextConfig(language="en", normalize=False, phonemizer=GraphemeConfig())


class Recordings:
    """Noise as long as the utterance says in its file's name."""

    def __call__(self, utterance):
        return np.full(int(utterance.audio), 0.1, dtype=np.float32)


def context(audio, text=TEXT):
    return ExtractionContext(
        audio=audio,
        load_audio=Recordings(),
        audio_key={"version": 1},
        frontend=lambda language: build_frontend(text, language),
        text_key={"phonemizer": "graphemes"},
    )


def utterance(name, text, samples, **fields):
    return Utterance(id=name, audio=str(samples), text=text, **fields)


@pytest.fixture
def aligning(toys, make_default, tmp_path, monkeypatch):
    """Writes a voice of the toys, which can align, and builds an extractor that asks it."""
    batches = []

    class AligningToy(toys.ToySynthesizer):
        def align(self, text, waveform, lengths):
            batches.append([*zip(lengths.tolist(), text.speakers.tolist(), strict=True)])
            assert torch.is_inference_mode_enabled()
            durations = torch.zeros_like(text.ids)
            for row, (ids, samples) in enumerate(zip(text.lengths, lengths, strict=True)):
                frames = toys.AUDIO.frames(int(samples))
                durations[row, :ids] = 1
                durations[row, ids - 1] += frames - ids
            return durations

    registry = toys.toy_registry()
    monkeypatch.setattr(toys, "ToySynthesizer", AligningToy)
    make_default(registry)

    def build(audio=toys.AUDIO, text=TEXT, **voice):
        folder = tmp_path / f"voice-{len(list(tmp_path.iterdir()))}"
        write_voice(folder, toys.stored_voice(**voice), registry=registry)
        extractor = AlignmentsExtractor(AlignmentsConfig(voice=str(folder)), context(audio, text))
        extractor.batches = batches
        return extractor

    return build


def test_blanks_are_counted_to_their_symbols(aligning, toys):
    (durations,) = aligning().extract([utterance("a", "abc", 800)])
    # Seven ids of three symbols: _a_b_c_, one frame each, and all that is left to the last.
    assert durations.tolist() == [3, 2, toys.AUDIO.frames(800) - 5]
    assert durations.dtype == np.int64


def test_batches_are_of_like_length_and_results_in_order(aligning, toys, monkeypatch):
    monkeypatch.setattr(alignments, "_BATCH_SECONDS", 0.25)
    lengths = [900, 400, 950, 420, 2500]
    asked = [utterance(f"u{n}", "ab", samples) for n, samples in enumerate(lengths)]
    extractor = aligning()
    sums = [int(durations.sum()) for durations in extractor.extract(asked)]
    assert sums == [toys.AUDIO.frames(samples) for samples in lengths]
    assert [[length for length, _ in batch] for batch in extractor.batches] == [
        [400, 420],
        [900, 950],
        [2500],
    ]


def test_what_does_not_fit_is_dropped_with_the_reason(aligning):
    asked = [
        utterance("unknown", "abç", 800, speaker="ann"),
        utterance("short", "abcdefgh" * 9, 800, speaker="ann"),
        utterance("stranger", "ab", 800, speaker="cid"),
        utterance("nobody", "ab", 800, speaker="bob", language="de"),
        utterance("good", "ab", 800, speaker="bob"),
    ]
    extractor = aligning(speakers=("ann", "bob"), languages=("en", "fr"))
    *dropped, good = extractor.extract(asked)
    assert all(isinstance(result, Dropped) for result in dropped)
    for result, detail in zip(dropped, ("'ç'", "145 symbols", "'cid'", "'de'"), strict=True):
        assert result.reason == "not to be aligned"
        assert detail in result.detail
    assert good.sum() > 0
    assert extractor.batches == [[(800, 1)]]


def test_other_symbols_than_the_voice_reads_are_dropped(aligning):
    upper = evolve(TEXT, phonemizer=GraphemeConfig(lowercase=False))
    same, other = aligning(text=upper).extract(
        [utterance("same", "ab", 800), utterance("other", "Ab", 800)]
    )
    assert isinstance(same, np.ndarray)
    assert other.reason == "not to be aligned"


def test_frames_must_be_the_same(aligning, toys):
    other = evolve(toys.AUDIO, hop_length=32, n_fft=128, n_mels=4)
    extractor = aligning(audio=other)
    with pytest.raises(UserError) as refused:
        next(extractor.extract([utterance("a", "abc", 800)]))
    assert "hop_length is 16 there and 32 in [audio]; n_fft is 64 there and 128" in str(
        refused.value
    )
    assert "n_mels" not in str(refused.value)


def test_a_voice_that_cannot_align_is_refused(aligning, toys):
    with pytest.raises(UserError, match="cannot align recordings with texts: .* ToyMelSynthesizer"):
        next(aligning(model=toys.ToyMelConfig()).extract([utterance("a", "abc", 800)]))


def test_a_voice_that_is_not_there_is_refused(toys):
    with pytest.raises(UserError, match="no voice 'nowhere'"):
        AlignmentsExtractor(AlignmentsConfig(voice="nowhere"), context(toys.AUDIO))


def test_the_key_is_that_of_the_weights(aligning):
    louder = {"gain": torch.tensor([0.5])}
    one, same, other = (aligning(weights=weights).key for weights in (None, None, louder))
    assert one == same != other
