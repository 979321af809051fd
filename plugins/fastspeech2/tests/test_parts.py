"""Unit tests of the modules.

Legend: B batch, T text, F frames, L positions, H hidden channels, M mel bands.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from allophone.errors import ConfigError, UserError
from allophone_fastspeech2.config import (
    DecoderConfig,
    EncoderConfig,
    FastSpeech2Config,
    FastSpeech2Controls,
    PostnetConfig,
    PredictorConfig,
    VarianceConfig,
)
from allophone_fastspeech2.length_regulator import (
    average_by_token,
    expand_to_frames,
    frame_to_token,
)
from allophone_fastspeech2.masks import sequence_mask
from allophone_fastspeech2.model import FastSpeech2, Recordings
from allophone_fastspeech2.pitch import interpolate_f0
from allophone_fastspeech2.postnet import Postnet
from allophone_fastspeech2.predictors import Predictor
from allophone_fastspeech2.statistics import Statistics
from allophone_fastspeech2.transformer import Transformer, sinusoidal_positions
from allophone_fastspeech2.variance_adaptor import ProsodyControls

slow_ok = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

durations_of_batches = st.lists(
    st.lists(st.integers(0, 5), min_size=1, max_size=7).filter(any), min_size=1, max_size=4
)


def padded(rows: list[list[int]]) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows])


class TestLengthRegulator:
    @slow_ok
    @given(durations_of_batches)
    def test_frames_repeat_tokens_by_duration(self, rows: list[list[int]]) -> None:
        durations = padded(rows)
        values = torch.randn(*durations.shape, 3)
        index = frame_to_token(durations, int(durations.sum(1).max()))
        frames = expand_to_frames(values, index)
        for row, counts in enumerate(rows):
            expected = [values[row, token] for token, n in enumerate(counts) for _ in range(n)]
            assert torch.equal(frames[row, : len(expected)], torch.stack(expected))

    @slow_ok
    @given(durations_of_batches)
    def test_average_by_token(self, rows: list[list[int]]) -> None:
        durations = padded(rows)
        lengths = durations.sum(1)
        frames = int(lengths.max()) + 2
        values = torch.randn(len(rows), frames)
        mask = sequence_mask(lengths, frames)
        means = average_by_token(values, durations, frame_to_token(durations, frames), mask)
        for row, counts in enumerate(rows):
            start = 0
            for token, n in enumerate(counts):
                expected = values[row, start : start + n].mean() if n else torch.tensor(0.0)
                torch.testing.assert_close(means[row, token], expected, rtol=0, atol=1e-5)
                start += n

    def test_expansion_sums_gradients_by_token(self) -> None:
        values = torch.zeros(2, 3, 1, requires_grad=True)
        durations = torch.tensor([[2, 0, 3], [1, 1, 0]])
        frames = expand_to_frames(values, frame_to_token(durations, 5))
        frames[0].sum().backward()
        assert values.grad is not None
        assert values.grad[..., 0].tolist() == [[2, 0, 3], [0, 0, 0]]


class TestPitch:
    @slow_ok
    @given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=12), min_size=1, max_size=3))
    def test_f0_is_linearly_interpolated(self, rows: list[list[int]]) -> None:
        f0 = 100.0 * padded(rows)
        mask = sequence_mask(torch.tensor([len(row) for row in rows]), f0.size(1))
        filled = interpolate_f0(f0, mask, torch.tensor(77.0))
        for row, pitches in enumerate(rows):
            voiced = [frame for frame, pitch in enumerate(pitches) if pitch]
            expected = (
                np.interp(range(len(pitches)), voiced, [100.0 * pitches[frame] for frame in voiced])
                if voiced
                else np.full(len(pitches), 77.0)
            )
            np.testing.assert_allclose(filled[row, : len(pitches)].numpy(), expected, rtol=1e-5)


class TestStatistics:
    @pytest.mark.parametrize("log", [False, True])
    def test_outliers_are_ignored(self, log: bool) -> None:
        draw = np.random.default_rng(0)
        utterances = [draw.normal(200, 20, 400).astype(np.float32) for _ in range(3)]
        with_outliers = [np.append(one, [1e5, 1e4]).astype(np.float32) for one in utterances]
        clean, robust = Statistics(log=log), Statistics(log=log)
        clean.fit(map(torch.from_numpy, utterances), what="pitch")
        robust.fit(map(torch.from_numpy, with_outliers), what="pitch")
        values = np.concatenate(utterances)
        values = np.log(values) if log else values
        assert float(robust.mean) == pytest.approx(values.mean(), rel=0.01)
        assert float(robust.deviation) == pytest.approx(float(clean.deviation), rel=0.05)
        assert float(robust.maximum) == pytest.approx(float(clean.maximum), rel=0.2)

    @pytest.mark.parametrize("log", [False, True])
    def test_factors_scale_physical_values(self, log: bool) -> None:
        statistics = Statistics(log=log)
        statistics.fit([torch.linspace(50, 400, 100)], what="pitch")
        hertz, factors = torch.tensor([[110.0, 180.0]]), torch.tensor([[1.2, 0.8]])
        torch.testing.assert_close(
            statistics.scale_normalised(statistics.normalise(hertz), factors),
            statistics.normalise(hertz * factors),
        )

    def test_normalised_values_are_clamped(self) -> None:
        statistics = Statistics(log=False)
        statistics.fit([torch.linspace(100, 200, 50)], what="pitch")
        low, high = statistics.normalise(torch.tensor([10.0, 900.0]))
        assert (low, high) == (statistics.minimum, statistics.maximum)

    def test_bins_are_evenly_spaced(self) -> None:
        statistics = Statistics(log=False)
        statistics.fit([torch.linspace(0, 10, 11)], what="energy")
        steps = statistics.boundaries(6).diff()
        torch.testing.assert_close(steps, steps[:1].expand(4))
        assert statistics.boundaries(6)[0] == statistics.minimum

    def test_no_values_is_an_error(self) -> None:
        with pytest.raises(
            UserError, match="No utterance of the training split has a value of pitch"
        ):
            Statistics(log=False).fit([torch.tensor([])], what="pitch")

    def test_constant_values_can_be_normalised(self) -> None:
        statistics = Statistics(log=False)
        statistics.fit([torch.full((9,), 100.0)], what="pitch")
        assert statistics.normalise(torch.tensor([100.0])).isfinite().all()


class TestTransformer:
    def test_positional_encoding(self) -> None:
        positions = sinusoidal_positions(2000, 6, torch.device("cpu"))
        angles = 1234 / 10_000 ** (np.arange(0, 6, 2) / 6)
        expected = np.stack([np.sin(angles), np.cos(angles)], 1).ravel()
        np.testing.assert_allclose(positions[1234], expected, atol=2e-4)

    @pytest.mark.parametrize("kernel_sizes", [(9, 1), (3, 5)])
    def test_padding_has_no_effect(self, kernel_sizes: tuple[int, int]) -> None:
        config = EncoderConfig(layers=2, feed_forward_channels=12, kernel_sizes=kernel_sizes)
        encoder = Transformer(config, 8).eval()
        check_padding(lambda values, mask: encoder(values, mask))


def check_padding(layer: object) -> None:
    """Check that a row padded with random values gives the same result as alone without a mask."""
    torch.manual_seed(0)
    lengths = torch.tensor([7, 12])
    values = torch.randn(2, 12, 8)
    batched = layer(values, sequence_mask(lengths, 12))  # type: ignore[operator]
    for row, length in enumerate(lengths.tolist()):
        alone = layer(values[row : row + 1, :length], None)  # type: ignore[operator]
        torch.testing.assert_close(batched[row, :length], alone[0], rtol=0, atol=1e-5)


def test_padding_has_no_effect_on_predictors() -> None:
    predictor = Predictor(PredictorConfig(channels=8), 8).eval()
    check_padding(lambda values, mask: predictor(values, mask))


def test_padding_has_no_effect_on_the_postnet() -> None:
    postnet = Postnet(PostnetConfig(layers=3, channels=8), 8).eval()
    check_padding(lambda values, mask: postnet(values.transpose(1, 2), mask).transpose(1, 2))


SMALL = FastSpeech2Config(
    hidden_channels=8,
    encoder=EncoderConfig(layers=1, feed_forward_channels=8),
    decoder=DecoderConfig(layers=1, feed_forward_channels=8),
    predictor=PredictorConfig(channels=8),
    postnet=PostnetConfig(layers=2, channels=8),
)


def neutral_controls(tokens: Tensor) -> ProsodyControls:
    ones = torch.ones(tokens.shape)
    return ProsodyControls(length_scale=ones, pitch=ones, energy=ones)


def set_duration(model: FastSpeech2, frames: float) -> None:
    """Make the model predict `frames` for every token."""
    output = model.variance_adaptor.duration_predictor.output
    nn.init.zeros_(output.weight)
    nn.init.constant_(output.bias, np.log(frames + 1))


class TestModel:
    def test_durations_are_scaled_before_rounding(self) -> None:
        model = FastSpeech2(SMALL, vocabulary_size=5, speakers=1, mels=4).eval()
        set_duration(model, 2.4)
        tokens = torch.tensor([[1, 2, 3]])
        controls = evolve(neutral_controls(tokens), length_scale=torch.tensor([[1.0, 2.0, 0.01]]))
        synthesized = model.synthesize(tokens, torch.tensor([3]), torch.tensor([0]), controls)
        assert synthesized.durations.tolist() == [[2, 5, 1]]
        assert synthesized.lengths.tolist() == [8]

    @pytest.mark.parametrize("level", ["phoneme", "frame"])
    @pytest.mark.parametrize("name", ["pitch", "energy"])
    def test_controls_change_the_mel(self, name: str, level: str) -> None:
        torch.manual_seed(0)
        varied = VarianceConfig(level=level)  # type: ignore[arg-type]
        model = FastSpeech2(
            evolve(SMALL, **{name: varied}), vocabulary_size=5, speakers=1, mels=4
        ).eval()
        getattr(model.variance_adaptor, name).statistics.fit([torch.linspace(1, 9, 50)], what="")
        set_duration(model, 3)
        tokens = torch.tensor([[1, 2, 3]])
        rest = torch.tensor([3]), torch.tensor([0])
        default = model.synthesize(tokens, *rest, neutral_controls(tokens))
        other = "energy" if name == "pitch" else "pitch"
        changed = evolve(neutral_controls(tokens), **{name: torch.full((1, 3), 1.5)})
        assert not torch.equal(default.mel, model.synthesize(tokens, *rest, changed).mel)
        getattr(model.variance_adaptor, other).statistics.deviation.fill_(1.0)
        same = evolve(neutral_controls(tokens), **{name: torch.ones(1, 3)})
        assert torch.equal(default.mel, model.synthesize(tokens, *rest, same).mel)

    def test_single_speaker_model_has_no_speaker_weights(self) -> None:
        one, three = (
            FastSpeech2(SMALL, vocabulary_size=5, speakers=count, mels=4) for count in (1, 3)
        )
        assert not [name for name in one.state_dict() if "speaker" in name]
        assert three.state_dict()["speaker_embedding.weight"].shape == (3, 8)

    def test_tokens_without_frames_have_no_target(self) -> None:
        model = FastSpeech2(
            evolve(SMALL, durations="stored"), vocabulary_size=5, speakers=1, mels=4
        )
        output = model(
            Recordings(
                tokens=torch.tensor([[1, 2, 3]]),
                token_lengths=torch.tensor([3]),
                speakers=torch.tensor([0]),
                mel=torch.randn(1, 4, 6),
                frame_lengths=torch.tensor([6]),
                f0=torch.full((1, 6), 1.5),
                energy=torch.ones(1, 6),
                durations=torch.tensor([[4, 0, 2]]),
            )
        )
        assert output.predictions.pitch.mask.tolist() == [[True, False, True]]
        assert output.predictions.pitch.target.tolist() == [[1.5, 0, 1.5]]
        assert output.alignment is None

    def test_size_matches_the_published_model(self) -> None:
        """The published 35.16 million include positional encodings (2 x 1001 x 256) and bins (2 x 255)."""
        model = FastSpeech2(
            FastSpeech2Config(durations="stored"), vocabulary_size=361, speakers=1, mels=80
        )
        sizes = sum(parameter.numel() for parameter in model.parameters())
        assert sizes == 35_159_361 - 2 * 1001 * 256 - 2 * 255


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: EncoderConfig(kernel_sizes=(4, 1)), "odd"),
        (lambda: PredictorConfig(kernel_size=2), "odd"),
        (lambda: FastSpeech2Config(hidden_channels=6), "heads"),
        (lambda: FastSpeech2Controls(pitch=0.0), "pitch"),
        (lambda: FastSpeech2Controls(energy=(1.0, -1.0)), "energy"),
        (lambda: FastSpeech2Controls(length_scale=()), "length_scale"),
        (lambda: FastSpeech2Controls(length_scale=float("nan")), "length_scale"),
        (lambda: FastSpeech2Controls(pitch=(1.0, float("inf"))), "pitch"),
    ],
)
def test_invalid_configs_are_rejected(build: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()  # type: ignore[operator]
