"""Reconstruction and alignment of recordings.

Legend: B batch, T text, F frames, N samples.
"""

from __future__ import annotations

import pytest
import torch

from allophone.config import Experiment
from allophone.data.batch import Batch
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.inference.protocol import TextBatch, VoiceSpec
from allophone.registry import Registry
from allophone_fastspeech2.synthesis import FastSpeech2Synthesizer, build_synthesizer
from allophone_testing.experiment import ExperimentContract, build_objective

SMALL = (
    "model.hidden_channels=16",
    "model.encoder={layers = 1, feed_forward_channels = 16}",
    "model.decoder={layers = 1, feed_forward_channels = 16}",
    "model.predictor={channels = 16}",
)


class TestRecordings(ExperimentContract):
    recipe = "fastspeech2/tiny"
    overrides = SMALL

    @pytest.fixture(scope="class")
    @classmethod
    def synthesizer(
        cls, experiment: Experiment, vocabulary: Vocabulary, registry: Registry
    ) -> FastSpeech2Synthesizer:
        weights = build_objective(experiment, vocabulary, registry).modules["model"].state_dict()
        spec = VoiceSpec(model=experiment.model, audio=experiment.audio, vocabulary=vocabulary)
        return build_synthesizer(spec, weights, torch.device("cpu"))

    def frames(self, experiment: Experiment, batch: Batch) -> list[int]:
        return [experiment.audio.frames(samples) for samples in batch["waveform"].lengths.tolist()]

    def text(self, batch: Batch) -> TextBatch:
        phonemes = batch["phonemes"]
        return TextBatch(
            ids=phonemes.values,
            lengths=phonemes.lengths,
            speakers=batch.speakers,
            languages=batch.languages,
            seeds=(0,) * len(batch),
        )

    def test_reconstruction_has_the_frames_of_the_recordings(
        self, synthesizer: FastSpeech2Synthesizer, experiment: Experiment, batch: Batch
    ) -> None:
        assert hasattr(synthesizer, "reconstruct")
        assert set(synthesizer.features) <= batch.features.keys()
        mels = synthesizer.reconstruct(batch)
        assert mels.lengths.tolist() == self.frames(experiment, batch)
        assert mels.mel.shape == (len(batch), experiment.audio.n_mels, int(mels.lengths.max()))
        for row, length in zip(mels.mel, mels.lengths.tolist(), strict=True):
            assert row[:, length - 1].any()
            assert not row[:, length:].any()

    def test_alignment(
        self, synthesizer: FastSpeech2Synthesizer, experiment: Experiment, batch: Batch
    ) -> None:
        assert hasattr(synthesizer, "align")
        waveform = batch["waveform"]
        durations = synthesizer.align(self.text(batch), waveform.values, waveform.lengths)
        assert durations.dtype == torch.int64
        assert durations.sum(1).tolist() == self.frames(experiment, batch)
        lengths = batch["phonemes"].lengths.tolist()
        for row, length in zip(durations, lengths, strict=True):
            assert row[:length].min() >= 1
            assert not row[length:].any()
        reconstructed = synthesizer.reconstruct(batch).durations
        assert reconstructed is not None
        assert torch.equal(durations, reconstructed)

    def test_alignment_of_a_recording_that_is_too_short_is_an_error(
        self, synthesizer: FastSpeech2Synthesizer, batch: Batch
    ) -> None:
        assert hasattr(synthesizer, "align")
        waveform = batch["waveform"].values[:, :2048]
        with pytest.raises(UserError, match="more tokens than frames"):
            synthesizer.align(self.text(batch), waveform, torch.full((len(batch),), 2048))


class TestRecordingsWithStoredDurations(ExperimentContract):
    recipe = "fastspeech2/tiny"
    overrides = (
        *SMALL,
        "model.durations=stored",
        "features.phonemes={type = 'phones'}",
        "features.durations={}",
    )
    labels = True

    def test_reconstruction_uses_the_stored_durations(
        self, experiment: Experiment, vocabulary: Vocabulary, registry: Registry, batch: Batch
    ) -> None:
        weights = build_objective(experiment, vocabulary, registry).modules["model"].state_dict()
        spec = VoiceSpec(model=experiment.model, audio=experiment.audio, vocabulary=vocabulary)
        synthesizer = build_synthesizer(spec, weights, torch.device("cpu"))
        assert not hasattr(synthesizer, "align")
        reconstructed = synthesizer.reconstruct(batch).durations
        assert reconstructed is not None
        assert torch.equal(reconstructed, batch["durations"].values)
