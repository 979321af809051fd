"""The contract of a vocoder notices when it is broken, and says by what."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from attrs import frozen

from allophone.audio.melspec import MelSpec
from allophone.entries import VocoderEntry
from allophone.hookspecs import hookimpl
from allophone.inference.config import GriffinLimConfig
from allophone.inference.griffin_lim import GriffinLim
from allophone.registry import build_registry
from allophone_testing import VocoderContract


class TestGriffinLim(VocoderContract):
    """The core's own vocoder keeps it."""

    vocoder = "griffin-lim"


class FaultyVocoder(GriffinLim):
    """Griffin-Lim whose waveforms go through `fault`."""

    def __init__(self, fault, audio=VocoderContract.audio):
        super().__init__(GriffinLimConfig(iterations=2), audio, torch.device("cpu"))
        self.fault = fault

    def vocode(self, mel, lengths):
        return self.fault(super().vocode(mel, lengths))


class InHalves(FaultyVocoder):
    """It streams a mel in two halves, which end where the fault says that they do."""

    def __init__(self, fault=lambda waveform: waveform):
        super().__init__(lambda waveform: waveform)
        self.stream_fault = fault

    def stream(self, mel):
        whole = self.vocode(mel, torch.tensor([mel.size(2)]))[0]
        half = len(whole) // 2
        yield self.stream_fault(whole[:half])
        yield whole[half:]


class TestAStream:
    @pytest.mark.parametrize("frames", [1, 40])
    def test_that_joins_is_taken(self, frames):
        VocoderContract().test_a_stream_joins_to_what_is_heard(InHalves(), frames)

    @pytest.mark.parametrize(
        ("fault", "complaint"),
        [
            (lambda chunk: chunk[1:], "of 40 frames has 10239 samples, not 10240"),
            (lambda chunk: chunk + 1e-3, "The stream differs by 0.001"),
            (lambda chunk: chunk[None], "should be samples"),
        ],
    )
    def test_that_says_something_else_is_not(self, fault, complaint):
        with pytest.raises(AssertionError, match=complaint):
            VocoderContract().test_a_stream_joins_to_what_is_heard(InHalves(fault), 40)


class TestVocoderViolations:
    def test_a_sample_too_few(self):
        built = FaultyVocoder(lambda waveform: waveform[:, 1:])
        with pytest.raises(AssertionError, match=r"give \[1, 1791\], not \[1, 1792\]"):
            VocoderContract().test_a_frame_makes_hop_length_samples(built, 7)

    def test_a_loudness_that_the_batch_decides(self):
        built = FaultyVocoder(lambda waveform: waveform / waveform.abs().max())
        with pytest.raises(AssertionError, match="differs by .* from what it gives alone"):
            VocoderContract().test_a_batch_gives_what_its_rows_give(built)

    def test_sound_past_the_end(self):
        built = FaultyVocoder(lambda waveform: waveform + 0.01)
        with pytest.raises(AssertionError, match="Row 0 is not zero past its length"):
            VocoderContract().test_a_batch_gives_what_its_rows_give(built)

    def test_noise_that_no_seed_decides(self):
        built = FaultyVocoder(lambda waveform: waveform + torch.randn_like(waveform))
        with pytest.raises(AssertionError, match="gives other samples"):
            VocoderContract().test_it_says_the_same_again(built)

    def test_another_mel_than_was_asked_for(self):
        built = FaultyVocoder(lambda waveform: waveform, MelSpec(hop_length=128))
        with pytest.raises(AssertionError, match="hop_length: 128 against 256"):
            VocoderContract().test_it_takes_the_mels_it_was_built_for(built)


@frozen(kw_only=True)
class LearnedConfig:
    pass


def build_learned(spec, weights, device):
    """A vocoder that learned how loud to be."""
    return FaultyVocoder(lambda waveform: waveform * weights["loudness"], spec.audio)


class TestALearnedVocoder(VocoderContract):
    """One with weights, whose mel is checked, keeps the contract."""

    vocoder = "learned"

    @classmethod
    def weights(cls):
        return {"loudness": torch.tensor(0.5)}

    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls):
        entry = VocoderEntry(
            name="learned",
            summary="Learned to be quiet.",
            config=f"{__name__}:LearnedConfig",
            vocoder=f"{__name__}:build_learned",
        )
        module = ModuleType("inline")
        module.CONTRACT = 1
        module.allophone_vocoders = hookimpl(lambda: [entry])
        return build_registry({"inline": module})
