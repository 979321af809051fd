"""The model computes what the most used implementation computes, to rounding.

The numbers in data/reference.npz were computed once by github.com/ming024/FastSpeech2, in float32 on a
CPU, in eval mode, with the sizes of `SIZES`, the weights of `filled` and the inputs of `utterances`, one
utterance at a time: in a batch, it sees padding, which is not copied here. Its names of tensors are the
keys of `filled`. Weights are not stored: each is drawn anew from its own name.

B batch, T text, F frames, M mel bands.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import frozen
from numpy.typing import NDArray

from allophone.testing.parity import Golden, golden_fixture, normal
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

golden = golden_fixture(Path(__file__).parent / "data" / "reference.npz")
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}
VOCABULARY = 361
SPEAKERS = 3
MELS = 80
RANGES = {"pitch": (0.5, 4.0), "energy": (0.0, 5.0)}
"""The least and the greatest of the values, whose mean is 0 and whose deviation is 1."""

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


def filled(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The weight that the reference calls `name`: normal, of about the size that training leaves."""
    draw = normal(name, shape)
    size = np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 5.0
    values = draw / size
    if ("norm" in name and name.endswith("weight")) or name.endswith("running_var"):
        values = 1 + np.abs(draw) / 5
    if name.startswith("variance_adaptor.duration_predictor.linear_layer"):
        # No token without a frame, which the reference allows in speaking.
        values = values / 4 + 1.4 * name.endswith("bias")
    if "embedding" in name or "emb." in name:
        values = draw / 2
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


@frozen(kw_only=True)
class Said:
    """An utterance: tokens [T], a speaker, durations [T] whose sum is F, f0 [F] and energy [F]."""

    tokens: NDArray[np.int64]
    speaker: int
    durations: NDArray[np.int64]
    f0: NDArray[np.float32]
    energy: NDArray[np.float32]


def utterances() -> list[Said]:
    """Of 5 and of 9 tokens; f0 and energy are as if normalised already, and all is voiced."""
    draw = np.random.RandomState(0)
    said = []
    for speaker, size in ((1, 5), (2, 9)):
        durations = draw.randint(1, 6, size)
        frames = durations.sum()
        said.append(
            Said(
                tokens=draw.randint(1, VOCABULARY, size),
                speaker=speaker,
                durations=durations,
                f0=draw.uniform(0.6, 3.9, frames).astype(np.float32),
                energy=draw.uniform(0.1, 4.9, frames).astype(np.float32),
            )
        )
    return said


def build(level: str) -> FastSpeech2:
    model = FastSpeech2(SIZES[level], vocabulary_size=VOCABULARY, speakers=SPEAKERS, mels=MELS)
    for name, (low, high) in RANGES.items():
        statistics = getattr(model.variance_adaptor, name).statistics
        statistics.minimum.fill_(low)
        statistics.maximum.fill_(high)
    weights = {
        name: tensor
        if "statistics" in name or "num_batches" in name
        else filled(reference_name(name), tuple(tensor.shape))
        for name, tensor in model.state_dict().items()
    }
    model.load_state_dict(weights)
    return model.eval()


def padded(rows: list[NDArray[np.generic]]) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], True)


def check_mels(spoken: SynthesizedMels, golden: Golden, where: str) -> None:
    assert spoken.coarse is not None
    for row, frames in enumerate(spoken.lengths.tolist()):
        for name, mel in (("coarse", spoken.coarse), ("mel", spoken.mel)):
            expected = torch.from_numpy(golden[f"{where}/{row}/{name}"])
            assert expected.abs().mean() > 0.1
            torch.testing.assert_close(mel[row, :, :frames].T, expected, **TOLERANCE)


@pytest.mark.parametrize("level", SIZES)
def test_recordings_are_said_again_as_the_reference_does(level: str, golden: Golden) -> None:
    said = utterances()
    lengths = torch.tensor([len(one.tokens) for one in said])
    frames = torch.tensor([one.durations.sum() for one in said])
    with torch.no_grad():
        output = build(level)(
            Recordings(
                tokens=padded([one.tokens for one in said]),
                token_lengths=lengths,
                speakers=torch.tensor([one.speaker for one in said]),
                mel=torch.zeros(2, MELS, int(frames.max())),
                frame_lengths=frames,
                f0=padded([one.f0 for one in said]),
                energy=padded([one.energy for one in said]),
                durations=padded([one.durations for one in said]),
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
def test_texts_are_said_as_the_reference_does(level: str, golden: Golden) -> None:
    said = utterances()
    tokens = padded([one.tokens for one in said])
    ones = torch.ones(tokens.shape)
    with torch.no_grad():
        spoken = build(level).synthesize(
            tokens,
            torch.tensor([len(one.tokens) for one in said]),
            torch.tensor([one.speaker for one in said]),
            ProsodyControls(length_scale=ones, pitch=ones, energy=ones),
        )
    for row, one in enumerate(said):
        expected = golden[f"{level}/text/{row}/durations"].tolist()
        assert spoken.durations[row, : len(one.tokens)].tolist() == expected
    check_mels(spoken, golden, f"{level}/text")
