"""The model matches the most used implementation numerically.

data/reference.npz was computed with github.com/ming024/FastSpeech2 in float32 on a CPU and in eval mode, with the
sizes of `SIZES`, the weights of `generated_weight` and the inputs of `utterances`, one utterance at a time, since
padding affects its results. Weights are not stored; each is generated from its name in the reference.

Legend: B batch, T text, F frames, M mel bands.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import frozen
from numpy.typing import NDArray

from allophone_fastspeech2.config import (
    DecoderConfig,
    EncoderConfig,
    FastSpeech2Config,
    PredictorConfig,
    VarianceConfig,
)
from allophone_fastspeech2.importers.names import reference_name
from allophone_fastspeech2.model import FastSpeech2, Recordings, SynthesizedMels
from allophone_fastspeech2.variance_adaptor import ProsodyControls
from allophone_testing.parity import Golden, golden_fixture, normal

golden = golden_fixture(Path(__file__).parent / "data" / "reference.npz")
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}
VOCABULARY = 361
SPEAKERS = 3
MELS = 80
RANGES = {"pitch": (0.5, 4.0), "energy": (0.0, 5.0)}
"""Minimum and maximum of the normalised values; their mean is 0 and their deviation 1."""

SIZES = {
    level: FastSpeech2Config(
        hidden_channels=16,
        encoder=EncoderConfig(layers=2, feed_forward_channels=24),
        decoder=DecoderConfig(layers=3, feed_forward_channels=24),
        predictor=PredictorConfig(channels=20),
        pitch=VarianceConfig(level=level, bins=16),
        energy=VarianceConfig(level=level, bins=16),
        durations="stored",
    )
    for level in ("phoneme", "frame")
}


def generated_weight(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Generate a weight from the reference's name: normal, with a scale typical of trained models."""
    draw = normal(name, shape)
    size = np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 5.0
    values = draw / size
    if ("norm" in name and name.endswith("weight")) or name.endswith("running_var"):
        values = 1 + np.abs(draw) / 5
    if name.startswith("variance_adaptor.duration_predictor.linear_layer"):
        # Avoid durations of 0 frames, which the reference allows in synthesis.
        values = values / 4 + 1.4 * name.endswith("bias")
    if "embedding" in name or "emb." in name:
        values = draw / 2
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


@frozen(kw_only=True)
class Utterance:
    """tokens [T], speaker, durations [T] with sum F, f0 [F], energy [F]."""

    tokens: NDArray[np.int64]
    speaker: int
    durations: NDArray[np.int64]
    f0: NDArray[np.float32]
    energy: NDArray[np.float32]


def utterances() -> list[Utterance]:
    """Two utterances of 5 and 9 tokens; all voiced, with f0 and energy already normalised."""
    draw = np.random.RandomState(0)
    rows = []
    for speaker, size in ((1, 5), (2, 9)):
        durations = draw.randint(1, 6, size)
        frames = durations.sum()
        rows.append(
            Utterance(
                tokens=draw.randint(1, VOCABULARY, size),
                speaker=speaker,
                durations=durations,
                f0=draw.uniform(0.6, 3.9, frames).astype(np.float32),
                energy=draw.uniform(0.1, 4.9, frames).astype(np.float32),
            )
        )
    return rows


def build(level: str) -> FastSpeech2:
    model = FastSpeech2(SIZES[level], vocabulary_size=VOCABULARY, speakers=SPEAKERS, mels=MELS)
    for name, (low, high) in RANGES.items():
        statistics = getattr(model.variance_adaptor, name).statistics
        statistics.minimum.fill_(low)
        statistics.maximum.fill_(high)
    weights = {
        name: tensor
        if "statistics" in name or "num_batches" in name
        else generated_weight(reference_name(name), tuple(tensor.shape))
        for name, tensor in model.state_dict().items()
    }
    model.load_state_dict(weights)
    return model.eval()


def padded(rows: list[NDArray[np.generic]]) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], True)


def check_mels(mels: SynthesizedMels, golden: Golden, where: str) -> None:
    assert mels.coarse is not None
    for row, frames in enumerate(mels.lengths.tolist()):
        for name, mel in (("coarse", mels.coarse), ("mel", mels.mel)):
            expected = torch.from_numpy(golden[f"{where}/{row}/{name}"])
            assert expected.abs().mean() > 0.1
            torch.testing.assert_close(mel[row, :, :frames].T, expected, **TOLERANCE)


@pytest.mark.parametrize("level", SIZES)
def test_teacher_forced_pass(level: str, golden: Golden) -> None:
    rows = utterances()
    lengths = torch.tensor([len(one.tokens) for one in rows])
    frames = torch.tensor([one.durations.sum() for one in rows])
    with torch.no_grad():
        output = build(level)(
            Recordings(
                tokens=padded([one.tokens for one in rows]),
                token_lengths=lengths,
                speakers=torch.tensor([one.speaker for one in rows]),
                mel=torch.zeros(2, MELS, int(frames.max())),
                frame_lengths=frames,
                f0=padded([one.f0 for one in rows]),
                energy=padded([one.energy for one in rows]),
                durations=padded([one.durations for one in rows]),
            )
        )
    check_mels(output.mels, golden, f"{level}/recorded")
    predictions = output.predictions
    for name, values in (
        ("log_durations", predictions.log_durations),
        ("pitch", predictions.pitch.predicted),
        ("energy", predictions.energy.predicted),
    ):
        for row in range(2):
            expected = torch.from_numpy(golden[f"{level}/recorded/{row}/{name}"])
            torch.testing.assert_close(values[row, : len(expected)], expected, **TOLERANCE)


@pytest.mark.parametrize("level", SIZES)
def test_synthesis(level: str, golden: Golden) -> None:
    rows = utterances()
    tokens = padded([one.tokens for one in rows])
    ones = torch.ones(tokens.shape)
    with torch.no_grad():
        mels = build(level).synthesize(
            tokens,
            torch.tensor([len(one.tokens) for one in rows]),
            torch.tensor([one.speaker for one in rows]),
            ProsodyControls(length_scale=ones, pitch=ones, energy=ones),
        )
    for row, one in enumerate(rows):
        expected = golden[f"{level}/text/{row}/durations"].tolist()
        assert mels.durations[row, : len(one.tokens)].tolist() == expected
    check_mels(mels, golden, f"{level}/text")
