"""Configs, chunked vocoding, spectral transforms and the objective."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_spectrogram
from allophone.config.experiment import Experiment, RuntimeConfig
from allophone.data.batch import Batch, Padded
from allophone.data.vocabulary import Vocabulary
from allophone.errors import ConfigError, UserError
from allophone.inference.protocol import VocoderSpec
from allophone.synthesis.chunks import FIRST_FRAMES, chunk_sizes
from allophone.text.symbols import SymbolTable
from allophone.training.ranks import Rank
from allophone.training.runtime import TrainerRuntime
from allophone.training.segments import middle_starts, silence_mel
from allophone_hifigan.config import (
    SIZES,
    ConstantQConfig,
    DiscriminatorsConfig,
    HifiganConfig,
    HifiganTrainerConfig,
    loss_audio,
)
from allophone_hifigan.generator import Generator, receptive_margin
from allophone_hifigan.objective import HifiganObjective
from allophone_hifigan.transforms import ConstantQTransform, ShortTimeFourierTransform
from allophone_hifigan.vocoder import HifiganVocoder, build_vocoder

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
CPU = torch.device("cpu")
AUDIO = MelSpec()
SMALL = {name: evolve(SIZES[name], channels=16) for name in ("v2", "v3")}
SMALL["odd"] = evolve(SMALL["v2"], upsample_rates=(5, 4, 4, 2), upsample_kernel_sizes=(10, 8, 8, 4))


class TestConfig:
    @pytest.mark.parametrize(
        ("build", "complaint"),
        [
            (lambda: HifiganConfig(upsample_rates=(8, 8)), "upsample_rates has 2 entries"),
            (lambda: HifiganConfig(upsample_rates=(8, 8, 2, 0)), "positive numbers"),
            (lambda: HifiganConfig(upsample_kernel_sizes=(7, 16, 4, 4)), "a rate of 8"),
            (lambda: HifiganConfig(channels=24), "halved 4 times"),
            (lambda: HifiganConfig(residual_kernel_sizes=(3, 7, 10)), "odd"),
            (lambda: HifiganConfig(residual_dilations=((1,),)), "residual_dilations has 1;"),
            (lambda: HifiganConfig(residual_dilations=((1,), (), (1,))), "lists of positive"),
            (lambda: DiscriminatorsConfig(periods=(), scales=0), "is empty"),
            (lambda: DiscriminatorsConfig(scale_channels=(16, 16)), "7 multiples of 16"),
            (lambda: ConstantQConfig(hop_length=100), "cannot be halved"),
        ],
    )
    def test_invalid_values_are_errors(self, build: object, complaint: str) -> None:
        with pytest.raises(ConfigError, match=complaint):
            build()  # type: ignore[operator]

    def test_a_frame_becomes_one_hop(self) -> None:
        spec = VocoderSpec(vocoder=HifiganConfig(), audio=MelSpec(hop_length=200))
        with pytest.raises(ConfigError, match=r"8 x 8 x 2 x 2 = 256.*hop_length is 200"):
            build_vocoder(spec, {}, CPU)

    def test_a_segment_is_whole_frames(self) -> None:
        trainer = HifiganTrainerConfig()
        assert trainer.segment_frames(AUDIO) == 32
        assert trainer.segment_frames(MelSpec(center=True)) == 32
        with pytest.raises(ConfigError, match="not a multiple"):
            trainer.segment_frames(MelSpec(hop_length=200))

    def test_the_mel_loss_covers_all_frequencies(self) -> None:
        audio = MelSpec(f_max=8000.0)
        assert loss_audio(audio).differences(audio) == ("f_max: None against 8000.0",)


def vocoder_of(config: HifiganConfig) -> tuple[Generator, HifiganVocoder]:
    """A generator with random weights, as trained, and the vocoder made from it."""
    torch.manual_seed(0)
    generator = Generator(config, mels=AUDIO.n_mels).eval()
    spec = VocoderSpec(vocoder=config, audio=evolve(AUDIO, hop_length=config.hop_length))
    return generator, build_vocoder(spec, generator.state_dict(), CPU)


class TestVocoder:
    @torch.no_grad()
    @pytest.mark.parametrize("size", list(SMALL))
    def test_chunks_join_to_the_whole(self, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("allophone_hifigan.vocoder.CPU_FRAMES", 20)
        generator, vocoder = vocoder_of(SMALL[size])
        mel = torch.randn(1, AUDIO.n_mels, 90)
        assert hasattr(vocoder, "stream")
        chunks = list(vocoder.stream(mel))
        assert len(chunks) == 4
        joined = torch.cat(chunks)
        assert torch.equal(joined, vocoder.vocode(mel, torch.tensor([90]))[0])
        torch.testing.assert_close(joined, generator(mel)[0], rtol=0, atol=1e-6)

    @pytest.mark.parametrize("size", list(SMALL))
    def test_the_margin_is_the_receptive_field(self, size: str) -> None:
        generator, _ = vocoder_of(SMALL[size])
        mel = torch.randn(1, AUDIO.n_mels, 61, dtype=torch.double, requires_grad=True)
        waveform = generator.double()(mel)[0].unflatten(0, (61, -1))
        (gradient,) = torch.autograd.grad(waveform[30].sum(), mel)
        seen = gradient[0].abs().amax(0).nonzero().flatten()
        margin = receptive_margin(SMALL[size])
        assert (int(seen.min()), int(seen.max())) == (30 - margin, 30 + margin)

    def test_weights_of_another_size_are_errors(self) -> None:
        generator, _ = vocoder_of(SMALL["v2"])
        with pytest.raises(UserError, match="do not fit the model"):
            build_vocoder(
                VocoderSpec(vocoder=SMALL["v3"], audio=AUDIO), generator.state_dict(), CPU
            )

    @unhurried
    @given(st.integers(0, 3000), st.integers(FIRST_FRAMES, 400))
    def test_chunks_cover_all_frames(self, frames: int, usual: int) -> None:
        sizes = chunk_sizes(frames, usual=usual)
        assert sum(sizes) == frames
        assert all(0 < size <= usual for size in sizes)
        if frames > usual:
            assert sizes[0] == FIRST_FRAMES


def tone(frequency: float, samples: int = 8192) -> torch.Tensor:
    """A sine of `frequency` cycles per sample, [1, N]."""
    return torch.cos(2 * math.pi * frequency * torch.arange(samples)).unsqueeze(0)


class TestSpectra:
    def test_a_sine_peaks_in_its_bin_of_the_stft(self) -> None:
        spectrum = ShortTimeFourierTransform(256)(tone(32 / 256))
        assert spectrum.shape == (1, 2, 129, 129)
        magnitude = spectrum.norm(dim=1)[0]
        assert (magnitude[4:-4].argmax(1) == 32).all()

    @pytest.mark.parametrize(("octave", "bin"), [(4, 0), (4, 7), (3, 5), (2, 11), (1, 3), (0, 6)])
    def test_a_sine_peaks_in_its_bin_of_the_constant_q_transform(
        self, octave: int, bin: int
    ) -> None:
        transform = ConstantQTransform(
            ConstantQConfig(bins_per_octave=12, octaves=5, hop_length=64)
        )
        frequency = 0.25 * 2 ** (octave - 4 + bin / 12)
        spectrum = transform(tone(frequency))
        assert spectrum.shape == (1, 2, 128, 60)
        magnitude = spectrum.norm(dim=1)[0, 32:96]
        assert (magnitude.argmax(1) == 12 * octave + bin).all()

    def test_a_downsampled_octave_equals_the_definition(self) -> None:
        """Compare the third octave with the definition at the full sample rate."""
        config = ConstantQConfig(bins_per_octave=6, octaves=3, hop_length=64)
        torch.manual_seed(0)
        waveform = torch.randn(1, 4096)
        found = ConstantQTransform(config)(waveform)
        quality = 1 / (2 ** (1 / 6) - 1)
        for bin in range(5):
            frequency = 0.0625 * 2 ** (bin / 6)
            length = quality / frequency
            position = torch.arange(-300, 301)
            window = 0.5 + 0.5 * torch.cos(2 * math.pi * position / length)
            window = torch.where(position.abs() < length / 2, window, 0.0)
            phase = 2 * math.pi * frequency * position
            kernel = torch.stack([window * phase.cos(), -window * phase.sin()]) / window.norm()
            expected = torch.nn.functional.conv1d(
                waveform.unsqueeze(1), kernel.unsqueeze(1), stride=64, padding=300
            )
            inner = slice(8, 56)
            error = (found[0, :, inner, bin] - expected[0, :, inner]).norm()
            assert error < 0.02 * expected[0, :, inner].norm()

    def test_transforms_ignore_autocast(self) -> None:
        for transform in (ShortTimeFourierTransform(64), ConstantQTransform(ConstantQConfig())):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                spectrum = transform(tone(0.01, 512).bfloat16())
            assert spectrum.dtype == torch.float32


def objective_of(**trainer: object) -> HifiganObjective:
    config = HifiganTrainerConfig(
        segment_size=2048,
        discriminators=DiscriminatorsConfig(periods=(2,), period_channels=(4, 4), scales=0),
        **trainer,  # type: ignore[arg-type]
    )
    return HifiganObjective(
        Experiment(vocoder=SMALL["v3"], trainer=config, audio=AUDIO),
        Vocabulary(symbols=SymbolTable.from_symbols("")),
    )


def batch_of(waveforms: list[torch.Tensor], mels: list[torch.Tensor] | None = None) -> Batch:
    """A batch of waveforms [N] and their mels [F, M]."""

    def padded(values: list[torch.Tensor]) -> Padded:
        return Padded(
            values=torch.nn.utils.rnn.pad_sequence(values, batch_first=True),
            lengths=torch.tensor([len(value) for value in values]),
        )

    zeros = torch.zeros(len(waveforms), dtype=torch.long)
    features = {"waveform": padded(waveforms)} | ({"mel": padded(mels)} if mels else {})
    return Batch(
        ids=tuple(str(row) for row in range(len(waveforms))),
        features=features,
        speakers=zeros,
        languages=zeros,
        audio_seconds=1.0,
    )


class TestObjective:
    def test_recordings_are_peak_normalized(self) -> None:
        waveforms = [0.1 * torch.randn(9000), torch.randn(3000) / 9, torch.zeros(2000)]
        segments = objective_of().segmenter.cut(batch_of(waveforms), middle_starts)
        scaled = [0.95 * waveform / waveform.abs().max() for waveform in waveforms[:2]]
        start = (9000 - 2048) // 2
        torch.testing.assert_close(segments.waveform[0], scaled[0][start : start + 2048])
        torch.testing.assert_close(segments.waveform[1], scaled[1][476 : 476 + 2048])
        assert not segments.waveform[2].any()
        torch.testing.assert_close(segments.mel, mel_spectrogram(segments.waveform, AUDIO))
        as_recorded = objective_of(normalize_peaks=False)
        segments = as_recorded.segmenter.cut(batch_of(waveforms), middle_starts)
        assert torch.equal(segments.waveform[0], waveforms[0][start : start + 2048])

    def test_predicted_mels_are_cut_with_recordings(self) -> None:
        objective = objective_of(input_mels="predicted")
        assert objective.features == ("waveform", "mel")
        waveforms = [torch.randn(256 * 20), torch.randn(256 * 5)]
        mels = [torch.randn(20, 80), torch.randn(5, 80)]
        segments = objective.segmenter.cut(batch_of(waveforms, mels), middle_starts)
        assert torch.equal(segments.mel[0], mels[0][6:14].T)
        assert torch.equal(segments.waveform[0], waveforms[0][6 * 256 : 14 * 256])
        assert torch.equal(segments.mel[1, :, :5], mels[1].T)
        silence = silence_mel(AUDIO)
        assert torch.equal(segments.mel[1, :, 5:], silence.expand(-1, 3))
        assert not segments.waveform[1, 5 * 256 :].any()

    @pytest.mark.parametrize("precision", ["fp32", "bf16"])
    def test_training_on_predicted_mels(self, precision: Literal["fp32", "bf16"]) -> None:
        torch.manual_seed(0)
        objective = objective_of(input_mels="predicted", learning_rate=2e-3)
        runtime = TrainerRuntime(objective, RuntimeConfig(precision=precision), Rank())
        waveform = tone(0.02, 256 * 12)[0]
        smooth = mel_spectrogram(waveform[None], AUDIO)[0].T.clamp_min(-4)
        batch = batch_of([waveform, waveform[: 256 * 6]], [smooth, smooth[:6]])
        losses = [float(runtime.take_step([batch])[0]["mel_loss"]) for _ in range(12)]
        assert losses[-1] < 0.8 * losses[0]
        with runtime.evaluating():
            assert set(objective.eval_step(runtime, batch)) == {"mel_loss"}
            assert set(objective.sample(runtime, batch)) == {
                f"{row}/{what}"
                for row in "01"
                for what in ("audio", "mel", "recorded_mel", "predicted_mel")
            }

    def test_unusable_utterances_are_rejected(self) -> None:
        objective = objective_of(input_mels="predicted")
        assert objective.reject({"waveform": 256 * 20, "mel": 20}) is None
        apart = objective.reject({"waveform": 256 * 20, "mel": 22})
        assert apart is not None
        assert apart.detail == "the mel has 22 frames, the recording 20"
        short = objective_of().reject({"waveform": 300})
        assert short is not None
        assert short.detail == f"300 samples, {AUDIO.min_samples} needed"
        assert objective_of().reject({"waveform": AUDIO.min_samples}) is None
