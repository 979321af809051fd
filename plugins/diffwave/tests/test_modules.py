"""Configs, noise schedules, samplers, streaming and training steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.config.experiment import Experiment, RuntimeConfig
from allophone.data.batch import Batch, Padded
from allophone.data.vocabulary import Vocabulary
from allophone.errors import ConfigError
from allophone.inference.protocol import VocoderSpec
from allophone.inference.vocoders import override_controls
from allophone.registry import default_registry
from allophone.text.symbols import SymbolTable
from allophone.training.ranks import Rank
from allophone.training.runtime import TrainerRuntime
from allophone_diffwave import sampling
from allophone_diffwave.config import DiffwaveConfig, DiffwaveTrainerConfig, NoiseConfig
from allophone_diffwave.controls import DiffwaveControls
from allophone_diffwave.diffusion import NoiseSchedule, diffuse
from allophone_diffwave.folded import FoldedDenoiser
from allophone_diffwave.network import Denoiser
from allophone_diffwave.objective import VALIDATION_LEVELS, DiffwaveObjective
from allophone_diffwave.samplers import FAST_BETAS, SAMPLERS, Plan, make_plan, noise_levels
from allophone_diffwave.sampling import NOISE_BLOCK, SamplerState, SeededNoise, apply_update
from allophone_diffwave.streaming import Buffers, DenoiserStream, UpsampledMel
from allophone_diffwave.vocoder import DiffwaveVocoder, build_vocoder

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
CPU = torch.device("cpu")
AUDIO = MelSpec(n_mels=5)
SMALL = DiffwaveConfig(channels=4, layers=5, dilation_cycle=4)
TRAINING = NoiseSchedule.from_config(NoiseConfig())


def denoiser_of(config: DiffwaveConfig = SMALL) -> Denoiser:
    """A denoiser with random weights, including its output layer."""
    torch.manual_seed(0)
    denoiser = Denoiser(config, mels=AUDIO.n_mels)
    torch.nn.init.normal_(denoiser.output.weight)
    return denoiser.eval().requires_grad_(False)


class TestConfig:
    def test_a_frame_becomes_one_hop(self) -> None:
        spec = VocoderSpec(vocoder=DiffwaveConfig(), audio=MelSpec(hop_length=200))
        with pytest.raises(ConfigError, match=r"16 x 16 = 256.*hop_length is 200"):
            build_vocoder(spec, {}, CPU)

    def test_invalid_values_are_errors(self) -> None:
        with pytest.raises(ConfigError, match="must be less than"):
            NoiseConfig(first=0.1)
        with pytest.raises(ConfigError, match="positive numbers"):
            DiffwaveConfig(upsample_rates=(16, 0))
        with pytest.raises(ConfigError, match="between 0 and 1"):
            DiffwaveControls(betas=(0.1, 1.0))

    def test_dilations_repeat_in_cycles(self) -> None:
        assert SMALL.dilations == (1, 2, 4, 8, 1)


class TestSchedule:
    def test_the_published_steps_are_those_of_the_paper(self) -> None:
        fast = NoiseSchedule.from_betas(FAST_BETAS)
        steps = [TRAINING.fractional_step(alpha_bar) for alpha_bar in fast.alpha_bar]
        expected = [0, 0.894, 4.087, 10.452, 22.992, 42.919]
        assert steps == pytest.approx(expected, abs=5e-4)

    def test_training_levels_give_whole_steps(self) -> None:
        steps = [TRAINING.fractional_step(alpha_bar) for alpha_bar in TRAINING.alpha_bar]
        assert steps == pytest.approx(range(50), abs=1e-9)

    def test_levels_outside_of_training_give_the_nearest_step(self) -> None:
        assert TRAINING.fractional_step(0.99999) == 0
        assert TRAINING.fractional_step(1e-6) == 49

    def test_diffusion_preserves_variance(self) -> None:
        waveform, noise = torch.full((2, 3), 2.0), torch.full((2, 3), 3.0)
        diffused = diffuse(waveform, noise, torch.tensor([1.0, 0.36]))
        assert torch.equal(diffused[0], waveform[0])
        torch.testing.assert_close(diffused[1], torch.full((3,), 0.6 * 2 + 0.8 * 3))

    def test_levels_are_evenly_spaced_in_log_snr(self) -> None:
        levels = np.array(noise_levels(7, TRAINING))
        ratios = np.log(levels / (1 - levels))
        np.testing.assert_allclose(np.diff(ratios, 2), 0, atol=1e-9)
        assert levels[[0, -1]] == pytest.approx([TRAINING.alpha_bar[-1], TRAINING.alpha_bar[0]])
        assert noise_levels(50, TRAINING) == TRAINING.alpha_bar[::-1]
        assert noise_levels(1, TRAINING) == pytest.approx([TRAINING.alpha_bar[-1]])


def followed(plan: Plan, clean: Tensor, noise: SeededNoise, spread: float = 1.0) -> Tensor:
    """Run a plan with the exact denoiser for recordings distributed as N(clean, spread^2)."""
    beginning = math.sqrt(plan.updates[0].alpha_bar) * clean + noise.draw(0, 0, len(clean)) * max(
        plan.start, 1e-9
    )
    state = SamplerState(waveform=beginning, clean=torch.zeros_like(clean))
    for number, update in enumerate(plan.updates, start=1):
        amplitude, rest = math.sqrt(update.alpha_bar), 1 - update.alpha_bar
        variance = update.alpha_bar * spread**2 + rest
        predicted_noise = math.sqrt(rest) * (state.waveform - amplitude * clean) / variance
        fresh = noise.draw(number, 0, len(clean)) if update.noise else None
        state = apply_update(state, predicted_noise, update, fresh)
    return state.waveform


class TestSamplers:
    @pytest.mark.parametrize("sampler", list(SAMPLERS))
    @pytest.mark.parametrize("steps", [1, 2, 6, 50])
    def test_every_sampler_recovers_a_known_waveform(self, sampler: str, steps: int) -> None:
        plan = SAMPLERS[sampler](noise_levels(steps, TRAINING), TRAINING)
        assert len(plan.updates) == steps
        clean = torch.linspace(-1, 1, 50)
        found = followed(plan, clean, SeededNoise(seed=0, device=CPU), spread=0.0)
        torch.testing.assert_close(found, clean, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("sampler", list(SAMPLERS))
    def test_samples_have_the_variance_of_the_data(self, sampler: str) -> None:
        """Recordings from N(0, .3^2), sampled from the noisiest level of training."""
        schedule = NoiseSchedule.from_config(NoiseConfig(steps=400, last=0.05))
        plan = SAMPLERS[sampler](noise_levels(400, schedule), schedule)
        found = followed(plan, torch.zeros(20000), SeededNoise(seed=0, device=CPU), spread=0.3)
        assert float(found.std()) == pytest.approx(0.3, rel=0.04)

    def test_the_second_order_sampler_is_more_accurate(self) -> None:
        """Without fresh noise the exact end point is known."""
        noise, spread = SeededNoise(seed=0, device=CPU), 0.3
        clean = torch.zeros(1000)
        first = TRAINING.alpha_bar[-1]
        beginning = noise.draw(0, 0, 1000) * math.sqrt(1 - first)
        level = TRAINING.alpha_bar[0]
        exact = beginning * math.sqrt(level * spread**2 + 1 - level)
        exact /= math.sqrt(first * spread**2 + 1 - first)
        exact *= math.sqrt(level) * spread**2 / (level * spread**2 + 1 - level)
        errors = {
            sampler: float(
                (followed(plan, clean, noise, spread) - exact).abs().mean() / exact.abs().mean()
            )
            for sampler in ("ddim", "dpm")
            for plan in (SAMPLERS[sampler](noise_levels(12, TRAINING), TRAINING),)
        }
        assert errors["dpm"] < 0.5 * errors["ddim"]

    def test_betas_override_steps(self) -> None:
        plan = make_plan(DiffwaveControls(betas=FAST_BETAS), TRAINING)
        steps = [update.step for update in plan.updates]
        assert steps == pytest.approx([42.919, 22.992, 10.452, 4.087, 0.894, 0], abs=5e-4)
        assert [update.noise > 0 for update in plan.updates] == [True] * 5 + [False]


class TestNoise:
    @given(st.integers(0, 3 * NOISE_BLOCK), st.integers(0, NOISE_BLOCK))
    @unhurried
    def test_a_chunk_has_the_same_noise_as_the_whole(self, start: int, length: int) -> None:
        noise = SeededNoise(seed=3, device=CPU)
        whole = noise.draw(1, 0, 5 * NOISE_BLOCK)
        assert torch.equal(noise.draw(1, start, start + length), whole[start : start + length])

    def test_noise_differs_for_each_update_and_seed(self) -> None:
        drawn = [
            SeededNoise(seed=seed, device=CPU).draw(update, 0, 40000)
            for seed in (0, 1)
            for update in (0, 1)
        ]
        correlations = torch.corrcoef(torch.stack([*drawn, drawn[0].roll(NOISE_BLOCK)]))
        torch.testing.assert_close(correlations, torch.eye(5), rtol=0, atol=0.03)
        for noise in drawn:
            assert float(noise.std()) == pytest.approx(1, abs=0.02)


class TestStream:
    @given(st.integers(1, 6), st.lists(st.integers(0, 700), max_size=3), st.integers(100, 900))
    @unhurried
    def test_chunks_join_to_the_output_of_the_network(
        self, frames: int, cuts: list[int], chunk: int
    ) -> None:
        denoiser = denoiser_of()
        samples = frames * 256
        noisy, mel = torch.randn(samples), torch.randn(5, frames)
        expected = denoiser(noisy[None], mel[None], torch.tensor([7.25]))[0]
        folded = FoldedDenoiser(denoiser)
        stream = DenoiserStream(
            folded, folded.step_biases(7.25), UpsampledMel(folded, mel), Buffers(folded, chunk)
        )
        ends = [*sorted({cut for cut in cuts if cut < samples}), samples]
        found = [
            stream.push(noisy[start:end], last=end == samples)
            for start, end in zip([0, *ends], ends, strict=False)
        ]
        torch.testing.assert_close(torch.cat(found), expected, rtol=0, atol=1e-5)

    def test_chunked_upsampling_equals_the_whole(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("allophone_diffwave.streaming.MEL_FRAMES", 3)
        config = evolve(SMALL, upsample_rates=(3, 2, 4))
        folded, mel = FoldedDenoiser(denoiser_of(config)), torch.randn(5, 10)
        whole, bands = folded.upsampled(mel), UpsampledMel(folded, mel)
        for start in range(0, 240, 20):
            bands.discard(start)
            found = bands.rows(start, start + 20)
            torch.testing.assert_close(found, whole[start : start + 20], rtol=0, atol=1e-6)

    def test_memory_does_not_grow_with_the_utterance(self) -> None:
        folded = FoldedDenoiser(denoiser_of())
        bands = UpsampledMel(folded, torch.randn(5, 2000))
        stream = DenoiserStream(folded, folded.step_biases(0.0), bands, Buffers(folded, 4096))
        kept = []
        for _ in range(40):
            stream.push(torch.randn(4096), last=False)
            bands.discard(stream._done)
            kept.append(len(stream._skips) + len(bands._known) + sum(map(len, stream._context)))
        assert max(kept[20:]) <= max(kept[:20]) < 50_000


def vocoder_of(**controls: object) -> DiffwaveVocoder:
    spec = VocoderSpec(vocoder=SMALL, audio=AUDIO)
    vocoder = build_vocoder(spec, denoiser_of().state_dict(), CPU)
    adjusted = override_controls(vocoder, controls, default_registry(), name="it")
    assert isinstance(adjusted, DiffwaveVocoder)
    return adjusted


class TestVocoder:
    @pytest.mark.parametrize("sampler", list(SAMPLERS))
    def test_chunks_join_to_the_whole(self, sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
        vocoder = vocoder_of(sampler=sampler, steps=5)
        mel = torch.randn(1, 5, 40)
        whole = torch.cat(list(vocoder.stream(mel)))
        monkeypatch.setattr(sampling, "CPU_CHUNK", 700)
        chunks = list(vocoder.stream(mel))
        assert len(chunks) > 10
        torch.testing.assert_close(torch.cat(chunks), whole, rtol=0, atol=1e-4)

    def test_controls_change_the_samples(self) -> None:
        mel, lengths = torch.randn(1, 5, 6), torch.tensor([6])
        usual = vocoder_of().vocode(mel, lengths)
        assert torch.equal(vocoder_of(seed=0, steps=6).vocode(mel, lengths), usual)
        for changed in (
            {"seed": 1},
            {"sampler": "ddim"},
            {"steps": 3},
            {"betas": list(FAST_BETAS)},
            {"clamp": "always"},
        ):
            other = vocoder_of(**changed).vocode(mel, lengths)
            assert not torch.equal(other, usual), changed
            assert float(other.abs().max()) <= 1

    def test_bf16_is_close_to_fp32(self) -> None:
        mel, lengths = torch.randn(1, 5, 20), torch.tensor([20])
        exact, rough = (
            vocoder_of(precision=precision).vocode(mel, lengths) for precision in ("fp32", "bf16")
        )
        assert float((exact - rough).abs().mean()) < 0.02 * float(exact.abs().mean())

    def test_the_core_validates_controls(self) -> None:
        vocoder = vocoder_of()
        assert hasattr(vocoder, "with_controls")
        assert hasattr(vocoder, "stream")
        with pytest.raises(ConfigError, match="sampler"):
            vocoder_of(sampler="euler")


def objective_of(**trainer: object) -> DiffwaveObjective:
    config = DiffwaveTrainerConfig(segment_frames=8, learning_rate=4e-3, **trainer)  # type: ignore[arg-type]
    return DiffwaveObjective(
        Experiment(vocoder=SMALL, trainer=config, audio=AUDIO),
        Vocabulary(symbols=SymbolTable.from_symbols("")),
    )


def batch_of(*waveforms: Tensor) -> Batch:
    zeros = torch.zeros(len(waveforms), dtype=torch.long)
    padded = Padded(
        values=torch.nn.utils.rnn.pad_sequence(list(waveforms), batch_first=True),
        lengths=torch.tensor([len(waveform) for waveform in waveforms]),
    )
    return Batch(
        ids=tuple(str(len(waveform)) for waveform in waveforms),
        features={"waveform": padded},
        speakers=zeros,
        languages=zeros,
        audio_seconds=1.0,
    )


class TestObjective:
    def test_validation_is_the_same_in_any_batch(self) -> None:
        objective = objective_of()
        torch.nn.init.normal_(objective.denoiser.output.weight)
        runtime = TrainerRuntime(objective, RuntimeConfig(), Rank())
        waveforms = [0.1 * torch.randn(4000), 0.1 * torch.randn(3000)]
        with runtime.evaluating():
            alone = [
                float(objective.eval_step(runtime, batch_of(one))["noise_loss"])
                for one in waveforms
            ]
            both = float(objective.eval_step(runtime, batch_of(*waveforms))["noise_loss"])
        assert both == pytest.approx(sum(alone) / 2, rel=1e-5)
        assert alone[0] != pytest.approx(alone[1], rel=1e-3)

    def test_validation_covers_the_whole_schedule(self) -> None:
        _, steps = objective_of()._validation_noise("LJ001-0001")
        assert len(steps) == VALIDATION_LEVELS
        assert (steps // (50 / VALIDATION_LEVELS)).tolist() == list(range(VALIDATION_LEVELS))

    def test_an_untrained_network_predicts_zero(self) -> None:
        torch.manual_seed(0)
        objective = objective_of()
        runtime = TrainerRuntime(objective, RuntimeConfig(), Rank())
        loss = objective.train_step(runtime, batch_of(torch.randn(6000), torch.randn(6000)))
        expected = math.sqrt(2 / math.pi)
        assert torch.as_tensor(loss["noise_loss"]).item() == pytest.approx(expected, rel=0.1)
