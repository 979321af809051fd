"""What synthesis expects of a vocoder: its contract.

from allophone_testing import VocoderContract

class TestVocoder(VocoderContract):
    vocoder = "mine"
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from attrs import evolve
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_spectrogram
from allophone.errors import UserError
from allophone.inference.folder import StoredVocoder, VocoderDescription, write_vocoder
from allophone.inference.protocol import Vocoder, VocoderSpec
from allophone.inference.vocoders import load_vocoder, override_controls
from allophone.registry import Registry
from allophone.synthesis.description import About
from allophone_testing.contract import Contract
from allophone_testing.controls import watched
from allophone_testing.corpus import synthetic_speech
from allophone_testing.gpu import APART, GPU, distance, without_tf32

ROUNDING = 1e-4
"""By how much a batch may differ from its rows, in samples between -1 and 1."""


class VocoderContract(Contract):
    """A vocoder gives `hop_length` samples a frame, row by row, for mels of its own kind.

    vocoder: its name.
    audio: the mels that it takes.
    config: its config; the defaults unless set.
    inert_controls: controls that it has no use for with this config; say why beside them.
    """

    vocoder: str
    audio: MelSpec = MelSpec()
    config: Any = None
    inert_controls: tuple[str, ...] = ()

    @classmethod
    def weights(cls) -> Mapping[str, Tensor]:
        """The weights to try it with, random ones will do; replace this where it needs any."""
        return {}

    @pytest.fixture(scope="class")
    @classmethod
    def spec(cls, registry: Registry) -> VocoderSpec:
        """What it is built from."""
        config = cls.config or registry.load("vocoders", cls.vocoder, "config")()
        return VocoderSpec(vocoder=config, audio=cls.audio)

    @pytest.fixture(scope="class")
    @classmethod
    def built(cls, registry: Registry, spec: VocoderSpec) -> Vocoder:
        """The vocoder, ready to be heard."""
        build = registry.load("vocoders", cls.vocoder, "vocoder")
        vocoder: Vocoder = build(spec, cls.weights(), torch.device("cpu"))
        return vocoder

    def mels(self, *frames: int) -> tuple[Tensor, Tensor]:
        """Mels of synthetic speech [B, M, F], zero past their lengths [B]."""
        rows = torch.zeros(len(frames), self.audio.n_mels, max(frames))
        for index, (row, count) in enumerate(zip(rows, frames, strict=True)):
            samples = synthetic_speech(
                "the sun rose over a quiet sea",
                pitch=110.0,
                sample_rate=self.audio.sample_rate,
                seed=index,
            )
            mel = mel_spectrogram(torch.from_numpy(samples)[None], self.audio)[0]
            row[:, :count] = mel[:, :count]
        return rows, torch.tensor(frames)

    def test_it_takes_the_mels_it_was_built_for(self, built: Vocoder) -> None:
        differences = built.audio.differences(self.audio)
        assert not differences, f"vocoder.audio is not the `audio` of its spec: {differences}"

    @torch.inference_mode()
    @pytest.mark.parametrize("frames", [1, 7, 40])
    def test_a_frame_makes_hop_length_samples(self, built: Vocoder, frames: int) -> None:
        waveform = built.vocode(*self.mels(frames))
        expected = (1, frames * self.audio.hop_length)
        assert tuple(waveform.shape) == expected, (
            f"{frames} frames give {list(waveform.shape)}, not {list(expected)}: [B, F * hop_length]. "
            "Pad or crop, so that durations in frames stay true in samples."
        )
        assert waveform.dtype == torch.float32, f"Samples should be float32, not {waveform.dtype}."
        assert waveform.isfinite().all(), "There is NaN or infinity among the samples."

    @torch.inference_mode()
    def test_a_batch_gives_what_its_rows_give(self, built: Vocoder) -> None:
        frames = (25, 40, 9)
        mel, lengths = self.mels(*frames)
        together = built.vocode(mel, lengths)
        for row, count in enumerate(frames):
            alone = built.vocode(mel[row : row + 1, :, :count], lengths[row : row + 1])[0]
            samples = count * self.audio.hop_length
            apart = float((together[row, :samples] - alone).abs().max())
            assert apart < ROUNDING, (
                f"Row {row}, {count} frames, differs by {apart:.2g} from what it gives alone: mask "
                "what is past its length at the input of each layer, and draw noise row by row."
            )
            assert not together[row, samples:].any(), f"Row {row} is not zero past its length."

    @pytest.mark.gpu
    @torch.inference_mode()
    def test_a_gpu_gives_what_the_cpu_gives(
        self, built: Vocoder, registry: Registry, spec: VocoderSpec
    ) -> None:
        build = registry.load("vocoders", self.vocoder, "vocoder")
        on_gpu: Vocoder = build(spec, self.weights(), GPU)
        mel, lengths = self.mels(25, 40, 9)
        expected = built.vocode(mel, lengths)
        with without_tf32():
            given = on_gpu.vocode(mel.to(GPU), lengths.to(GPU)).cpu()
        apart = distance("The batch", expected, given)
        assert apart < APART, f"The batch differs by {apart:.2g} on a GPU."

    @torch.inference_mode()
    def test_it_says_the_same_again(self, built: Vocoder) -> None:
        mels = self.mels(20)
        same = torch.equal(built.vocode(*mels), built.vocode(*mels))
        assert same, (
            "The same mel gives other samples: draw noise from a generator with a fixed seed."
        )

    @torch.inference_mode()
    @pytest.mark.parametrize("frames", [1, 40, 250])
    def test_a_stream_joins_to_what_is_heard(self, built: Vocoder, frames: int) -> None:
        stream = getattr(built, "stream", None)
        if stream is None:
            pytest.skip("This vocoder does not stream.")
        mel, lengths = self.mels(frames)
        whole = built.vocode(mel, lengths)[0]
        chunks = list(stream(mel))
        shapes = [list(chunk.shape) for chunk in chunks if chunk.ndim != 1]
        assert not shapes, f"Chunks should be samples [N], not {shapes}."
        joined = torch.cat(chunks)
        assert len(joined) == len(whole), (
            f"The stream of {frames} frames has {len(joined)} samples, not {len(whole)}."
        )
        assert torch.equal(joined, whole), (
            f"The stream differs by {float((joined - whole).abs().max()):.2g} from what is heard at "
            "once: go through the mel in the same chunks both times, each with as much around it as "
            "the vocoder sees."
        )

    def test_controls_have_defaults_and_are_checked(
        self, built: Vocoder, registry: Registry
    ) -> None:
        controls = getattr(built, "controls", None)
        if controls is None:
            pytest.skip("This vocoder has no controls.")
        assert type(controls)() == controls, "`controls` should begin with the class's defaults."
        again = getattr(built, "with_controls")(controls)  # noqa: B009 - optional part of Vocoder
        assert again.controls == controls, (
            "`with_controls` should have the controls that it was given."
        )
        with pytest.raises(UserError):
            override_controls(built, {"no_such_control": 1}, registry, name=self.vocoder)
        for field in attrs.fields(type(controls)):
            with pytest.raises(UserError):
                override_controls(built, {field.name: {}}, registry, name=self.vocoder)

    @torch.inference_mode()
    def test_each_control_is_used(self, built: Vocoder) -> None:
        controls = getattr(built, "controls", None)
        if controls is None:
            pytest.skip("This vocoder has no controls.")
        given, read = watched(controls)
        getattr(built, "with_controls")(given).vocode(*self.mels(20))  # noqa: B009 - optional part of Vocoder
        for field in attrs.fields(type(controls)):
            assert field.name in read or field.name in self.inert_controls, (
                f"The control {field.name} is offered, and nothing of it is read when a mel is heard: is it "
                "passed on? If it cannot be used here, name it in `inert_controls`."
            )

    def test_other_mels_are_refused(
        self, registry: Registry, spec: VocoderSpec, tmp_path: Path
    ) -> None:
        if not registry.find("vocoders", self.vocoder).needs_weights:
            pytest.skip("It adapts to any mel.")
        stored = StoredVocoder(
            description=VocoderDescription(
                about=About(name="contract", licence="none"),
                vocoder=spec.vocoder,
                audio=self.audio,
            ),
            weights=self.weights(),
        )
        write_vocoder(tmp_path / "vocoder", stored, registry=registry)
        cpu = torch.device("cpu")
        load_vocoder(tmp_path / "vocoder", self.audio, device=cpu, registry=registry)
        other = evolve(self.audio, hop_length=self.audio.hop_length // 2)
        with pytest.raises(UserError, match="hop_length"):
            load_vocoder(tmp_path / "vocoder", other, device=cpu, registry=registry)
