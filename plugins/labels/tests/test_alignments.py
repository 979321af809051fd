"""Durations by a trained voice: the extractor `alignments`, with a toy that gives the last symbol the rest."""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch
from attrs import evolve, frozen

from allophone.audio.melspec import MelSpec
from allophone.data.manifest import Dropped, Utterance
from allophone.data.vocabulary import Vocabulary
from allophone.entries import ModelEntry
from allophone.errors import UserError
from allophone.features.protocol import ExtractionContext
from allophone.hookspecs import hookimpl
from allophone.inference.folder import StoredVoice, write_voice
from allophone.registry import build_registry
from allophone.synthesis.description import About, VoiceDescription
from allophone.text.config import GraphemeConfig, TextConfig
from allophone.text.frontend import build_frontend
from allophone.text.symbols import SymbolTable
from allophone_labels import alignments
from allophone_labels.alignments import AlignmentsExtractor
from allophone_labels.config import AlignmentsConfig

AUDIO = MelSpec(sample_rate=8000, n_fft=64, hop_length=16, win_length=64, n_mels=8)
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


@frozen(kw_only=True)
class AlignerConfig:
    """The model `aligner`."""


@frozen(kw_only=True)
class SpeakerConfig:
    """The model `speaker`, which cannot align."""


@frozen(kw_only=True)
class NoControls:
    pass


class Speaker:
    controls = NoControls

    def __init__(self, spec, weights, device):
        pass

    def synthesize(self, text, controls):
        pytest.fail("nothing is to be said")


class Aligner(Speaker):
    """One frame for each id, and all that is left for the last. What it was asked is kept in `batches`."""

    batches: list[list[tuple[int, int]]]

    def align(self, text, waveform, lengths):
        assert torch.is_inference_mode_enabled()
        self.batches.append([*zip(lengths.tolist(), text.speakers.tolist(), strict=True)])
        durations = torch.zeros_like(text.ids)
        for row, (ids, samples) in enumerate(zip(text.lengths, lengths, strict=True)):
            durations[row, :ids] = 1
            durations[row, ids - 1] += AUDIO.frames(int(samples)) - ids
        return durations


@hookimpl
def allophone_models():
    for name in ("Aligner", "Speaker"):
        yield ModelEntry(
            name=name.lower(),
            summary="A toy.",
            config=f"{__name__}:{name}Config",
            synthesizer=f"{__name__}:{name}",
        )


@pytest.fixture
def aligning(tmp_path, monkeypatch):
    """Writes a voice that can align, unless it is given another model, and an extractor that asks it."""
    plugin = types.SimpleNamespace(CONTRACT=1, allophone_models=allophone_models)
    registry = build_registry({"toys": plugin})
    monkeypatch.setattr(alignments, "default_registry", lambda: registry)
    monkeypatch.setattr(Aligner, "batches", [], raising=False)

    def build(audio=AUDIO, text=TEXT, *, model=None, gain=1.0, speakers=(), languages=()):
        folder = tmp_path / f"voice-{len(list(tmp_path.iterdir()))}"
        stored = StoredVoice(
            description=VoiceDescription(
                about=About(name="tim", licence="CC0-1.0"),
                model=model or AlignerConfig(),
                audio=AUDIO,
                text=TEXT,
            ),
            vocabulary=Vocabulary(
                symbols=SymbolTable.from_symbols("abcdefghijklmnopqrstuvwxyz .", blank="_"),
                speakers=speakers,
                languages=languages,
            ),
            weights={"gain": torch.tensor([gain])},
        )
        write_voice(folder, stored, registry=registry)
        return AlignmentsExtractor(AlignmentsConfig(voice=str(folder)), context(audio, text))

    return build


def test_blanks_are_counted_to_their_symbols(aligning):
    (durations,) = aligning().extract([utterance("a", "abc", 800)])
    # Seven ids of three symbols: _a_b_c_, one frame each, and all that is left to the last.
    assert durations.tolist() == [3, 2, AUDIO.frames(800) - 5]
    assert durations.dtype == np.int64


def test_batches_are_of_like_length_and_results_in_order(aligning, monkeypatch):
    monkeypatch.setattr(alignments, "_BATCH_SECONDS", 0.25)
    lengths = [900, 400, 950, 420, 2500]
    asked = [utterance(f"u{n}", "ab", samples) for n, samples in enumerate(lengths)]
    extractor = aligning()
    sums = [int(durations.sum()) for durations in extractor.extract(asked)]
    assert sums == [AUDIO.frames(samples) for samples in lengths]
    assert [[length for length, _ in batch] for batch in Aligner.batches] == [
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
        assert result.reason == "cannot be aligned"
        assert detail in result.detail
    assert good.sum() > 0
    assert Aligner.batches == [[(800, 1)]]


def test_other_symbols_than_the_voice_reads_are_dropped(aligning):
    upper = evolve(TEXT, phonemizer=GraphemeConfig(lowercase=False))
    same, other = aligning(text=upper).extract(
        [utterance("same", "ab", 800), utterance("other", "Ab", 800)]
    )
    assert isinstance(same, np.ndarray)
    assert other.reason == "cannot be aligned"


def test_frames_must_be_the_same(aligning):
    other = evolve(AUDIO, hop_length=32, n_fft=128, n_mels=4)
    extractor = aligning(audio=other)
    with pytest.raises(UserError) as refused:
        next(extractor.extract([utterance("a", "abc", 800)]))
    assert (
        "hop_length is 16 in the voice and 32 in [audio]; n_fft is 64 in the voice and 128"
        in str(refused.value)
    )
    assert "n_mels" not in str(refused.value)


def test_a_voice_that_cannot_align_is_refused(aligning):
    with pytest.raises(UserError, match="cannot align recordings with texts: .* Speaker,"):
        next(aligning(model=SpeakerConfig()).extract([utterance("a", "abc", 800)]))


def test_a_voice_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="no voice 'nowhere'"):
        AlignmentsExtractor(AlignmentsConfig(voice="nowhere"), context(AUDIO))


def test_the_key_is_that_of_the_weights(aligning):
    one, same, other = (aligning(gain=gain).key for gain in (1.0, 1.0, 0.5))
    assert one == same != other
