"""Unit tests of the modules."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve
from torch import Tensor, nn

from allophone.alignment import monotonic_alignment
from allophone.audio.melspec import MelSpec
from allophone.config.experiment import Experiment
from allophone.data.vocabulary import Vocabulary
from allophone.synthesis.chunks import chunk_sizes
from allophone.text.symbols import SymbolTable
from allophone.training.adversarial import (
    adversarial_loss,
    discriminate,
    feature_matching_loss,
)
from allophone.weights.norm import fold_weight_norm, for_inference
from allophone_hifigan.config import HifiganConfig
from allophone_hifigan.generator import receptive_margin
from allophone_vits.channels_last import use_channels_last
from allophone_vits.config import (
    SIZES,
    DiscriminatorConfig,
    DurationConfig,
    FlowConfig,
    PosteriorEncoderConfig,
    TextEncoderConfig,
    VitsConfig,
    VitsTrainerConfig,
)
from allophone_vits.discriminator import Discriminator
from allophone_vits.duration_flow import DurationFlow
from allophone_vits.flow import Flow
from allophone_vits.gaussian import Gaussian, kl_loss, prior_log_likelihood
from allophone_vits.hifigan_decoder import HifiganDecoder
from allophone_vits.inference import (
    CHUNK_FRAMES,
    Latents,
    decode,
    decode_in_chunks,
    frame_to_token,
    invert_flow,
    unbatch,
)
from allophone_vits.layers import sequence_mask
from allophone_vits.model import Vits
from allophone_vits.noise import Stream, normal_noise
from allophone_vits.objective import VitsObjective
from allophone_vits.segments import middle_starts, random_starts, slice_segments
from allophone_vits.spline import Spline

DECODERS = {name: SIZES[name].decoder for name in ("base", "medium")}
TINY_DECODERS = {name: evolve(decoder, channels=32) for name, decoder in DECODERS.items()}


def randomized(module: nn.Module) -> nn.Module:
    """Randomize all weights: some are initialized to zero."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.eval()


class TestSpline:
    @pytest.fixture
    def spline(self) -> Spline:
        torch.manual_seed(0)
        return Spline.from_parameters(torch.randn(400, 29), bins=10, bound=5.0)

    def test_inverse_inverts_forward(self, spline: Spline) -> None:
        x = torch.linspace(-7, 7, 400)
        y, _ = spline.forward(x)
        torch.testing.assert_close(spline.inverse(y), x, rtol=0, atol=2e-4)

    def test_slope_is_the_derivative(self, spline: Spline) -> None:
        x = torch.linspace(-6.9, 6.9, 400, requires_grad=True)
        y, log_slope = spline.forward(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        torch.testing.assert_close(log_slope.exp(), slope, rtol=1e-3, atol=1e-4)

    def test_identity_outside_the_bounds(self, spline: Spline) -> None:
        x = torch.tensor([-5.001, 5.001, 1e6, -torch.inf]).repeat(100)
        y, log_slope = spline.forward(x)
        assert torch.equal(y, x)
        assert not log_slope.any()
        assert torch.equal(spline.inverse(x), x)

    def test_monotonic_and_bounded(self) -> None:
        torch.manual_seed(1)
        parameters = torch.randn(29).expand(1001, -1)
        spline = Spline.from_parameters(parameters, bins=10, bound=5.0)
        y, _ = spline.forward(torch.linspace(-5, 5, 1001))
        assert (y.diff() > 0).all()
        assert y[0] == -5
        assert y[-1] == 5


def test_duration_flow_sample_inverts_forward() -> None:
    flow = randomized(DurationFlow(channels=8, kernel_size=3, couplings=3))
    text, mask = torch.randn(2, 8, 6), sequence_mask(torch.tensor([6, 4]), 6)
    pair = torch.randn(2, 2, 6) * mask
    mapped, _ = flow(pair, text, mask)
    torch.testing.assert_close(flow.sample(mapped, text, mask), pair[:, :1], rtol=0, atol=1e-4)


def test_duration_flow_exports_with_dynamic_length() -> None:
    class Sample(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flow = randomized(DurationFlow(channels=8, kernel_size=3, couplings=2))

        def forward(self, noise: Tensor, text: Tensor) -> Tensor:
            return self.flow.sample(noise, text, None)

    module = Sample().eval()
    length = torch.export.Dim("length", min=2, max=500)
    exported = torch.export.export(
        module,
        (torch.randn(1, 2, 9), torch.randn(1, 8, 9)),
        dynamic_shapes=({2: length}, {2: length}),
    )
    noise, text = torch.randn(1, 2, 31), torch.randn(1, 8, 31)
    torch.testing.assert_close(exported.module()(noise, text), module(noise, text))


class TestGaussian:
    def test_log_likelihood_matches_torch_distributions(self) -> None:
        torch.manual_seed(0)
        latent = torch.randn(2, 4, 7)
        prior = Gaussian(mean=torch.randn(2, 4, 5), log_scale=0.5 * torch.randn(2, 4, 5))
        expected = torch.distributions.Normal(
            prior.mean[:, :, None], prior.log_scale.exp()[:, :, None]
        ).log_prob(latent[:, :, :, None])
        torch.testing.assert_close(
            prior_log_likelihood(latent, prior), expected.sum(1), rtol=1e-4, atol=1e-4
        )

    def test_log_likelihood_is_float32_under_autocast(self) -> None:
        prior = Gaussian(mean=torch.zeros(1, 2, 3), log_scale=torch.zeros(1, 2, 3))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            values = prior_log_likelihood(torch.zeros(1, 2, 4, dtype=torch.bfloat16), prior)
        assert values.dtype == torch.float32

    def test_expand_repeats_tokens_by_duration(self) -> None:
        durations = torch.tensor([[2, 1, 3], [1, 1, 0]])
        index = frame_to_token(durations)
        assert index.tolist() == [[0, 0, 1, 2, 2, 2], [0, 1, 2, 2, 2, 2]]
        mean = torch.arange(6.0).reshape(2, 1, 3).requires_grad_()
        expanded = Gaussian(mean=mean, log_scale=mean).expand(index)
        assert expanded.mean[0, 0].tolist() == [0, 0, 1, 2, 2, 2]
        (gradient,) = torch.autograd.grad(expanded.mean[:1].sum(), mean)
        assert gradient[0, 0].tolist() == [2, 1, 3]

    def test_kl_loss_ignores_padding(self) -> None:
        torch.manual_seed(0)
        mask = sequence_mask(torch.tensor([3, 2]), 3)
        posterior, prior = (
            Gaussian(mean=torch.randn(2, 4, 3), log_scale=torch.randn(2, 4, 3)) for _ in range(2)
        )
        latent = torch.randn(2, 4, 3)
        before = kl_loss(latent, posterior, prior, mask)
        prior.mean[1, :, 2] = torch.nan
        assert torch.equal(kl_loss(latent, posterior, prior, mask), before)


class TestDecoder:
    @pytest.mark.parametrize("name", DECODERS)
    def test_margin_is_the_exact_receptive_field(self, name: str) -> None:
        config = TINY_DECODERS[name]
        decoder = randomized(HifiganDecoder(config, latent_channels=4))
        margin = receptive_margin(config)
        frames, middle = 2 * margin + 5, margin + 2
        latent = torch.zeros(1, 4, frames, requires_grad=True)
        samples = decoder(latent)[0, middle * config.hop_length :][: config.hop_length]
        (gradient,) = torch.autograd.grad(samples.sum(), latent)
        frames_used = gradient.abs().sum((0, 1)).nonzero().flatten()
        assert margin == max(middle - int(frames_used[0]), int(frames_used[-1]) - middle)

    def test_margins_of_published_sizes(self) -> None:
        assert {name: receptive_margin(config) for name, config in DECODERS.items()} == {
            "base": 13,
            "medium": 11,
        }

    @pytest.mark.parametrize("name", DECODERS)
    def test_padding_has_no_effect(self, name: str) -> None:
        config = TINY_DECODERS[name]
        decoder = randomized(HifiganDecoder(config, latent_channels=4, speaker_channels=3))
        lengths = torch.tensor([9, 30])
        latents = Latents(
            values=torch.randn(2, 4, 30), lengths=lengths, speaker=torch.randn(2, 3, 1)
        )
        batched = decode(decoder, latents)
        for row, alone in enumerate(unbatch(latents)):
            samples = int(lengths[row]) * config.hop_length
            torch.testing.assert_close(
                batched[row, :samples], decode(decoder, alone)[0], rtol=0, atol=1e-5
            )
            assert not batched[row, samples:].any()

    @pytest.mark.parametrize("frames", [20, 170, 333])
    def test_chunks_concatenate_to_the_whole(self, frames: int) -> None:
        decoder = randomized(HifiganDecoder(TINY_DECODERS["medium"], latent_channels=4))
        config = FlowConfig(hidden_channels=4, couplings=2, layers=2)
        flow = randomized(Flow.from_config(config, channels=4))
        prior = Latents(
            values=torch.randn(1, 4, frames), lengths=torch.tensor([frames]), speaker=None
        )
        whole = decode(decoder, invert_flow(flow, prior))[0]
        chunks = list(decode_in_chunks(flow, decoder, prior))
        assert len(chunks) == len(chunk_sizes(frames, usual=CHUNK_FRAMES))
        torch.testing.assert_close(torch.cat(chunks), whole, rtol=0, atol=1e-5)

    def test_the_first_chunk_depends_only_on_the_first_frames(self) -> None:
        decoder = randomized(HifiganDecoder(TINY_DECODERS["medium"], latent_channels=4))
        flow = randomized(Flow.from_config(FlowConfig(hidden_channels=4, layers=2), channels=4))
        values = torch.randn(1, 4, 333)
        needed = chunk_sizes(333, usual=CHUNK_FRAMES)[0] + decoder.margin + flow.margin
        values[:, :, needed:] = torch.nan
        prior = Latents(values=values, lengths=torch.tensor([333]), speaker=None)
        chunks = decode_in_chunks(flow, decoder, prior)
        assert next(chunks).isfinite().all()
        assert not next(chunks).isfinite().all()

    @pytest.mark.parametrize("frames", [1, CHUNK_FRAMES, CHUNK_FRAMES + 1, 2000])
    def test_chunks_cover_the_utterance(self, frames: int) -> None:
        sizes = chunk_sizes(frames, usual=CHUNK_FRAMES)
        assert sum(sizes) == frames
        assert min(sizes) >= 1
        assert max(sizes) <= CHUNK_FRAMES

    @pytest.mark.parametrize("name", DECODERS)
    def test_channels_last_matches_the_default_layout(self, name: str) -> None:
        decoder = randomized(HifiganDecoder(TINY_DECODERS[name], latent_channels=4))
        with for_inference():
            channels_last = HifiganDecoder(TINY_DECODERS[name], latent_channels=4)
        channels_last.load_state_dict(fold_weight_norm(decoder.state_dict()))
        use_channels_last(channels_last)
        assert not any(isinstance(part, nn.Conv1d) for part in channels_last.modules())
        latent = torch.randn(2, 4, 12)
        torch.testing.assert_close(channels_last(latent), decoder(latent), rtol=0, atol=1e-5)


class TestSegments:
    def test_segments_lie_inside_utterances(self) -> None:
        lengths = torch.tensor([5, 9, 3])
        starts = torch.stack([random_starts(lengths, 4) for _ in range(200)])
        assert starts.amin(0).tolist() == [0, 0, 0]
        assert starts.amax(0).tolist() == [1, 5, 0]
        assert middle_starts(lengths, 4).tolist() == [0, 2, 0]

    def test_segments_are_zero_padded(self) -> None:
        values = torch.arange(1.0, 11.0).reshape(2, 1, 5)
        cut = slice_segments(values, torch.tensor([1, 0]), 3)
        assert cut.tolist() == [[[2, 3, 4]], [[6, 7, 8]]]
        longer = slice_segments(values, torch.tensor([0, 0]), 7)
        assert longer[0, 0].tolist() == [1, 2, 3, 4, 5, 0, 0]


def test_noise_does_not_depend_on_the_batch() -> None:
    batch = normal_noise([3, 4], Stream.LATENT, channels=5, lengths=[20, 33], size=40)
    alone = normal_noise([3], Stream.LATENT, channels=5, lengths=[20])
    assert batch.shape == (2, 5, 40)
    assert torch.equal(batch[0, :, :20], alone[0])
    assert not batch[0, :, 20:].any()
    other = normal_noise([3], Stream.DURATION, channels=5, lengths=[20])
    assert not torch.allclose(other, alone)


SMALL = VitsConfig(
    latent_channels=8,
    speaker_channels=6,
    text_encoder=TextEncoderConfig(hidden_channels=12, feed_forward_channels=16, layers=2),
    posterior_encoder=PosteriorEncoderConfig(hidden_channels=12, layers=2),
    flow=FlowConfig(hidden_channels=12, couplings=2, layers=1),
    duration=DurationConfig(channels=12, couplings=2),
    decoder=HifiganConfig(channels=16, upsample_rates=(4, 4), upsample_kernel_sizes=(8, 8)),
)
AUDIO = MelSpec(n_fft=64, win_length=64, hop_length=16, n_mels=8, sample_rate=4000)


def test_losses_are_float32_under_autocast() -> None:
    torch.manual_seed(0)
    model = Vits(SMALL, vocabulary_size=9, speakers=1, audio=AUDIO)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(
            tokens=torch.randint(9, (2, 6)),
            token_lengths=torch.tensor([6, 4]),
            spectrogram=torch.rand(2, AUDIO.n_bins, 20),
            frame_lengths=torch.tensor([20, 15]),
            speakers=torch.tensor([0, 0]),
            segment_frames=8,
        )
    kl = kl_loss(output.z_p, output.posterior, output.prior, output.frame_mask)
    for value in (output.waveform, output.duration_loss, kl):
        assert value.dtype == torch.float32
        assert value.isfinite().all()


def test_alignment_maximizes_the_likelihood() -> None:
    torch.manual_seed(0)
    model = Vits(SMALL, vocabulary_size=9, speakers=1, audio=AUDIO).eval()
    given = {
        "tokens": torch.randint(9, (1, 5)),
        "token_lengths": torch.tensor([5]),
        "spectrogram": torch.rand(1, AUDIO.n_bins, 20),
        "frame_lengths": torch.tensor([20]),
        "speakers": torch.tensor([0]),
        "segment_frames": 8,
    }
    output = model(**given, seeds=[0])
    prior = model.text_encoder(given["tokens"], None).prior
    scores = prior_log_likelihood(output.z_p, prior).detach()
    expected = monotonic_alignment(scores, torch.tensor([20]), torch.tensor([5]))
    assert torch.equal(output.alignment.index, expected.index)
    assert output.alignment.durations.sum() == 20


def test_training_rejects_more_tokens_than_frames() -> None:
    trainer = VitsTrainerConfig(
        segment_size=64,
        discriminator=DiscriminatorConfig(
            periods=(2,), scale_channels=(4, 4), period_channels=(4,)
        ),
    )
    objective = VitsObjective(
        Experiment(model=SMALL, trainer=trainer, audio=AUDIO),
        Vocabulary(symbols=SymbolTable.from_symbols("abc")),
    )
    samples = 16 * 20
    assert AUDIO.frames(samples) == 20
    assert objective.reject({"waveform": samples, "phonemes": 20}) is None
    dropped = objective.reject({"waveform": samples, "phonemes": 21})
    assert dropped is not None
    assert dropped.reason == "more tokens than frames"
    assert dropped.detail == "21 tokens, 20 frames"


def test_single_speaker_model_has_no_speaker_weights() -> None:
    one, three = (
        Vits(SMALL, vocabulary_size=9, speakers=speakers, audio=AUDIO) for speakers in (1, 3)
    )
    assert not [name for name in one.state_dict() if "speaker" in name]
    assert len([name for name in three.state_dict() if name.startswith("speaker_embedding")]) == 1


def test_detaching_real_features_does_not_change_the_generator_gradient() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(
        DiscriminatorConfig(periods=(2, 3), scale_channels=(4, 8, 8), period_channels=(4, 8))
    ).requires_grad_(False)
    real = torch.randn(3, 200)
    gradients = []
    for detach_real in (False, True):
        generated = torch.linspace(-1, 1, 600).view(3, 200).requires_grad_()
        outputs_real, outputs_generated = discriminate(
            discriminator, real, generated, detach_real=detach_real
        )
        (
            adversarial_loss(outputs_generated)
            + feature_matching_loss(outputs_real, outputs_generated)
        ).backward()
        gradients.append(generated.grad)
    assert not any(output.score.requires_grad for output in outputs_real)
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(gradients[1], gradients[0])
