"""Generators with an inverse STFT: configs, context, padding, transforms and training on bands."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve

from allophone.audio.melspec import MelSpec
from allophone.config.experiment import Experiment
from allophone.data.vocabulary import Vocabulary
from allophone.errors import ConfigError
from allophone.inference.protocol import VocoderSpec
from allophone.text.symbols import SymbolTable
from allophone_hifigan.config import (
    DiscriminatorsConfig,
    IstftConfig,
    IstftTrainerConfig,
    MultiBandIstftConfig,
)
from allophone_hifigan.filter_bank import FilterBank
from allophone_hifigan.istft import InverseStft, IstftGenerator
from allophone_hifigan.objective import IstftObjective
from allophone_hifigan.sub_bands import sub_band_loss
from allophone_hifigan.vocoder import build_vocoder

ONE = IstftConfig(
    channels=16,
    residual_kernel_sizes=(3, 5),
    residual_dilations=((1, 2), (2, 3)),
    residual_block="2",
)
FOUR = MultiBandIstftConfig(channels=16, residual_kernel_sizes=(3,), residual_dilations=((1, 3),))
SMALL = {
    "istft": ONE,
    "other transform": evolve(
        ONE, upsample_rates=(8, 4), upsample_kernel_sizes=(16, 9), n_fft=16, istft_hop_length=8
    ),
    "mb-istft": FOUR,
    "ms-istft": evolve(FOUR, filters="learned"),
}
CHANNELS = 6


def generator_of(name: str, *, speaker_channels: int = 0) -> IstftGenerator:
    """A generator with random weights, loud enough for differences to show."""
    torch.manual_seed(0)
    found = IstftGenerator(
        SMALL[name], in_channels=CHANNELS, speaker_channels=speaker_channels
    ).eval()
    for parameter in found.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return found.requires_grad_(False)


every_form = pytest.mark.parametrize("name", list(SMALL))


class TestConfig:
    @pytest.mark.parametrize(
        ("build", "complaint"),
        [
            (
                lambda: IstftConfig(n_fft=20),
                "n_fft .20. must be a multiple of twice istft_hop_length .4., such as 16",
            ),
            (lambda: IstftConfig(bands=3), "bands"),
            (lambda: MultiBandIstftConfig(bands=1), "bands"),
            (lambda: IstftConfig(upsample_rates=(8, 8, 4)), "upsample_rates has 3 entries"),
            (
                lambda: IstftConfig().check_audio(MelSpec(hop_length=200)),
                "upsample_rates, istft_hop_length is 8 x 8 x 4 = 256, but audio.hop_length is 200",
            ),
            (
                lambda: MultiBandIstftConfig(upsample_rates=(4, 8)).check_audio(MelSpec()),
                "upsample_rates, istft_hop_length and bands is 4 x 8 x 4 x 4 = 512",
            ),
        ],
    )
    def test_invalid_values_are_errors(self, build: object, complaint: str) -> None:
        with pytest.raises((ConfigError, ValueError), match=complaint):
            build()  # type: ignore[operator]

    def test_published_sizes_make_a_hop_of_each_frame(self) -> None:
        for config in (IstftConfig(), MultiBandIstftConfig()):
            config.check_audio(MelSpec())


@every_form
def test_the_margin_is_the_receptive_field(name: str) -> None:
    generator = generator_of(name).double()
    margin = generator.margin
    frames, middle = 2 * margin + 5, margin + 2
    features = torch.randn(1, CHANNELS, frames, dtype=torch.double, requires_grad=True)
    waveform = generator(features)[0].unflatten(0, (frames, -1))
    (gradient,) = torch.autograd.grad(waveform[middle].sum(), features)
    seen = gradient[0].abs().amax(0).nonzero().flatten()
    assert margin == max(middle - int(seen.min()), int(seen.max()) - middle)


@every_form
def test_padding_and_batches_do_not_change_an_utterance(name: str) -> None:
    generator = generator_of(name, speaker_channels=3)
    features, speakers = torch.randn(2, CHANNELS, 25), torch.randn(2, 3, 1)
    lengths = torch.tensor([25, 11])
    mask = (torch.arange(25) < lengths[:, None]).unsqueeze(1)
    batch = generator(features, mask, speakers)
    hop_length = generator.hop_length
    assert batch.shape == (2, 25 * hop_length)
    assert not batch[1, 11 * hop_length :].any()
    for row, length in enumerate(lengths.tolist()):
        alone = generator(features[row : row + 1, :, :length], None, speakers[row : row + 1])
        assert alone.std() > 0.01
        torch.testing.assert_close(batch[row, : length * hop_length], alone[0], rtol=0, atol=1e-5)


def test_the_speaker_changes_the_waveform() -> None:
    generator = generator_of("mb-istft", speaker_channels=3)
    features = torch.randn(1, CHANNELS, 9)
    first, second = (
        generator(features, None, torch.full((1, 3, 1), value)) for value in (0.0, 1.0)
    )
    assert not torch.allclose(first, second)


@every_form
def test_chunks_join_to_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allophone_hifigan.vocoder.CPU_FRAMES", 20)
    config = SMALL[name]
    generator = generator_of(name)
    audio = MelSpec(n_mels=CHANNELS, hop_length=config.hop_length)
    spec = VocoderSpec(vocoder=config, audio=audio)
    vocoder = build_vocoder(spec, generator.state_dict(), torch.device("cpu"))
    mel = torch.randn(1, CHANNELS, 90)
    chunks = list(vocoder.stream(mel))
    assert len(chunks) > 3
    joined = torch.cat(chunks)
    assert torch.equal(joined, vocoder.vocode(mel, torch.tensor([90]))[0])
    torch.testing.assert_close(joined, generator(mel)[0], rtol=0, atol=2e-6)


@every_form
def test_bfloat16_is_close_to_float32(name: str) -> None:
    generator = generator_of(name)
    features = torch.randn(1, CHANNELS, 20)
    whole = generator(features)
    half = generator.bfloat16()(features)
    assert half.dtype == torch.float32
    assert (half - whole).square().mean() < 0.05 * whole.square().mean()


@pytest.mark.parametrize(("n_fft", "hop_length"), [(16, 4), (20, 5), (8, 4), (64, 16)])
def test_inverse_equals_torch_istft(n_fft: int, hop_length: int) -> None:
    torch.manual_seed(0)
    spectrum = torch.randn(2, n_fft // 2 + 1, 30, dtype=torch.complex64)
    spectrum[:, 0] = spectrum[:, 0].real.to(torch.complex64)
    spectrum[:, -1] = spectrum[:, -1].real.to(torch.complex64)
    theirs = torch.istft(spectrum, n_fft, hop_length, window=torch.hann_window(n_fft))
    ours = InverseStft(n_fft, hop_length)(spectrum.real, spectrum.imag)
    torch.testing.assert_close(ours[:, 0], theirs, rtol=0, atol=1e-5)


def test_bands_give_the_waveform_back() -> None:
    torch.manual_seed(0)
    waveform = torch.randn(2, 4096)
    bank = FilterBank(4)
    bands = bank.split(waveform)
    assert bands.shape == (2, 4, 1024)
    inner = slice(64, -64)
    error = (bank(bands)[:, 0] - waveform)[:, inner].norm() / waveform[:, inner].norm()
    assert error < 1e-3


@pytest.mark.parametrize("band", range(4))
def test_a_tone_is_in_its_band(band: int) -> None:
    tone = torch.sin(torch.pi * (band + 0.5) / 4 * torch.arange(4096.0)).unsqueeze(0)
    power = FilterBank(4).split(tone)[0].square().mean(1)
    assert power[band] > 0.999 * power.sum()


def test_the_loss_of_bands_grows_with_noise() -> None:
    torch.manual_seed(0)
    real = FilterBank(4).split(torch.randn(2, 8192) * 0.1)
    assert sub_band_loss(real, real) == 0
    little, much = (
        sub_band_loss(real + scale * torch.randn_like(real), real) for scale in (0.01, 0.1)
    )
    assert 0 < little < much


def objective_of(config: IstftConfig, **trainer: object) -> IstftObjective:
    return IstftObjective(
        Experiment(
            vocoder=config,
            trainer=IstftTrainerConfig(
                discriminators=DiscriminatorsConfig(periods=(2,), period_channels=(4, 4), scales=0),
                **trainer,  # type: ignore[arg-type]
            ),
            audio=MelSpec(),
        ),
        Vocabulary(symbols=SymbolTable.from_symbols("")),
    )


def test_segments_must_be_long_enough_for_the_loss_of_bands() -> None:
    with pytest.raises(ConfigError, match=r"segment_size .1024. is too short.*4 bands.*needs 1368"):
        objective_of(FOUR, segment_size=1024)
    for config, weight in ((FOUR, 0.0), (SMALL["ms-istft"], 1.0), (ONE, 1.0)):
        objective_of(config, segment_size=1024, sub_band_weight=weight)
