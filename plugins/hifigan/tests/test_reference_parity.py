"""The networks and losses match the reference implementation to rounding.

The numbers in data/reference.npz were computed once by Coqui's port of it (coqui-tts 0.28.0, in float32
on a CPU) with the generators of `GENERATORS`, the weights of `filled` and the inputs of `inputs`, in eval
mode. Weights are not stored: each is drawn anew from the name that the reference has for it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import evolve

from allophone.training.adversarial import (
    DiscriminatorOutput,
    adversarial_loss,
    discriminator_loss,
    feature_matching_loss,
)
from allophone_hifigan.config import SIZES, DiscriminatorsConfig, HifiganConfig
from allophone_hifigan.discriminators import Discriminators
from allophone_hifigan.generator import Generator
from allophone_hifigan.importers.names import discriminators_name, generator_name
from allophone_testing.parity import Golden, golden_fixture, weight

golden = golden_fixture(Path(__file__).parent / "data" / "reference.npz")
MELS = 8

GENERATORS = {
    "v1": evolve(SIZES["v1"], channels=32),
    "v2": evolve(SIZES["v2"], channels=16),
    "v3": evolve(SIZES["v3"], channels=16),
}
"""The published sizes with fewer channels."""


def filled(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Random normal weights of a realistic scale, with the reference's names."""
    state = {name: weight(name, shape) for name, shape in shapes.items()}
    for name in [name for name in shapes if name.endswith(".weight_orig")]:
        # Spectral norm stores the two vectors of its power iteration with the weight.
        module = name.removesuffix("orig")
        matrix = state[name].flatten(1)
        left = torch.ones(len(matrix))
        for _ in range(3):
            right = torch.nn.functional.normalize(matrix.T @ left, dim=0)
            left = torch.nn.functional.normalize(matrix @ right, dim=0)
        state |= {f"{module}u": left, f"{module}v": right}
    return state


def inputs() -> dict[str, torch.Tensor]:
    draw = np.random.RandomState(1)
    mel = draw.uniform(-6, 1, (2, MELS, 20))
    recorded, generated = draw.uniform(-1, 1, (2, 2, 2051))
    return {
        "mel": torch.from_numpy(mel.astype(np.float32)),
        "recorded": torch.from_numpy(recorded.astype(np.float32)),
        "generated": torch.from_numpy(generated.astype(np.float32)),
    }


def fill(module: torch.nn.Module, names: dict[str, str]) -> None:
    """Load the weights of `filled` into a module; names: maps ours to the reference's."""
    state = module.state_dict()
    weights = filled({names[name]: tuple(tensor.shape) for name, tensor in state.items()})
    module.load_state_dict({name: weights[names[name]] for name in state})
    module.eval()


def expect(ours: torch.Tensor, theirs: np.ndarray, *, rtol: float, atol: float) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=rtol, atol=atol)


@pytest.mark.parametrize("size", list(GENERATORS))
@torch.no_grad()
def test_generators(size: str, golden: Golden) -> None:
    config: HifiganConfig = GENERATORS[size]
    generator = Generator(config, mels=MELS)
    fill(generator, {name: generator_name(name, config) for name in generator.state_dict()})
    assert np.abs(golden[size]).mean() > 0.05
    expect(generator(inputs()["mel"]), golden[size], rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def outputs() -> tuple[tuple[DiscriminatorOutput, ...], tuple[DiscriminatorOutput, ...]]:
    """The outputs of the published discriminators for recorded and generated waveforms."""
    discriminators = Discriminators(DiscriminatorsConfig())
    fill(discriminators, {name: discriminators_name(name) for name in discriminators.state_dict()})
    with torch.no_grad():
        recorded, generated = (discriminators(inputs()[name]) for name in ("recorded", "generated"))
    return recorded, generated


def test_discriminators(
    outputs: tuple[tuple[DiscriminatorOutput, ...], ...], golden: Golden
) -> None:
    for name, found in zip(("recorded", "generated"), outputs, strict=True):
        assert len(found) == 8
        for index, output in enumerate(found):
            score = golden[f"{name}/score{index}"]
            expect(output.score.flatten(1), score, rtol=1e-4, atol=1e-5)
            sizes = torch.stack([feature.abs().mean() for feature in output.features])
            expect(sizes, golden[f"{name}/features{index}"], rtol=1e-4, atol=0)


def test_losses(outputs: tuple[tuple[DiscriminatorOutput, ...], ...], golden: Golden) -> None:
    recorded, generated = outputs
    for ours, name in (
        (discriminator_loss(recorded, generated), "discriminator_loss"),
        (adversarial_loss(generated), "adversarial_loss"),
        (2 * feature_matching_loss(recorded, generated), "feature_loss"),
    ):
        expect(ours, golden[name], rtol=1e-4, atol=0)


@pytest.mark.parametrize(("size", "millions"), [("v1", 13.94), ("v2", 0.93), ("v3", 1.46)])
def test_generators_have_their_published_size(size: str, millions: float) -> None:
    assert _millions(Generator(SIZES[size], mels=80)) == pytest.approx(millions, abs=0.005)


def test_discriminators_have_their_published_size() -> None:
    with torch.device("meta"):
        discriminators = Discriminators(DiscriminatorsConfig(scales=0))
        assert _millions(discriminators.periods) == pytest.approx(41.1, abs=0.05)
    assert _millions(Discriminators(DiscriminatorsConfig(periods=())).scales) == pytest.approx(
        29.6, abs=0.05
    )


def _millions(module: torch.nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6
