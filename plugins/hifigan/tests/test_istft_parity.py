"""The generators with an inverse STFT match public implementations.

The numbers in data/istft.npz were computed once, in float32 on a CPU, with weights drawn from their names (`filled`)
and a real input, the mel of 20 frames of the voice joe:

- "istft/...": rishikksh20/iSTFTNet-pytorch (d10fe7d), `Generator` and `TorchSTFT.inverse`;
- "vits/...": MasayaKawamura/MB-iSTFT-VITS (df2f8d3), `iSTFT_Generator`, `Multiband_iSTFT_Generator` and
  `Multistream_iSTFT_Generator`;
- "pqmf/bands" and "loss": its `PQMF.analysis` and `subband_stft_loss`, of "fake" against "real".
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import evolve

from allophone_hifigan.config import IstftConfig, MultiBandIstftConfig
from allophone_hifigan.filter_bank import FilterBank
from allophone_hifigan.importers.names import generator_name
from allophone_hifigan.istft import IstftGenerator
from allophone_hifigan.sub_bands import sub_band_loss
from allophone_testing.parity import Golden, golden_fixture, weight

golden = golden_fixture(Path(__file__).parent / "data" / "istft.npz")
MELS, TOLERANCE = 8, 1e-4
SMALL = IstftConfig(channels=16)
SINGLE = evolve(
    SMALL,
    residual_block="2",
    residual_kernel_sizes=(3, 5),
    residual_dilations=((1, 3), (1, 3)),
)
BANDS = MultiBandIstftConfig(channels=16)


def filled(config: IstftConfig) -> IstftGenerator:
    """A generator with the weights of the references, which are drawn from their names for them."""
    generator = IstftGenerator(config, in_channels=MELS)
    state = generator.state_dict()
    for name, tensor in state.items():
        if name.startswith("filters."):
            continue
        theirs = generator_name(name, config)
        if config.bands > 1:
            theirs = theirs.replace("conv_post", "subband_conv_post")
        state[name] = weight(theirs, tuple(tensor.shape))
        if theirs.endswith("conv_post.weight_g"):
            state[name] *= 0.3  # Magnitudes stay within those of speech.
    generator.load_state_dict(state)
    return generator.eval()


def expect(ours: torch.Tensor, theirs: np.ndarray) -> None:
    assert np.abs(theirs).max() > 0.1
    np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("istft/1", evolve(SMALL, largest_phase=1.0)),
        ("istft/2", evolve(SINGLE, largest_phase=1.0)),
        ("vits/istft", SMALL),
    ],
)
@torch.no_grad()
def test_one_band(name: str, config: IstftConfig, golden: Golden) -> None:
    expect(filled(config)(torch.from_numpy(golden["mel"])), golden[name])


@torch.no_grad()
def test_four_bands(golden: Golden) -> None:
    generator, mel = filled(BANDS), torch.from_numpy(golden["mel"])
    expect(generator.bands(mel), golden["vits/mb/bands"])
    # Its bank is not centred; see `FilterBank`.
    generator.filters = FilterBank(4, cutoff=0.15, middle=-0.5)
    expect(generator(mel), golden["vits/mb/waveform"])


@torch.no_grad()
def test_learned_filters(golden: Golden) -> None:
    generator = filled(evolve(BANDS, filters="learned"))
    kernel = weight("multistream_conv_post.weight_v", (1, 4, 63))
    kernel *= weight("multistream_conv_post.weight_g", (1, 1, 1)) / kernel.norm()
    assert generator.filters is not None
    norm = generator.filters.parametrizations.weight
    # The reference sets three zeros between samples and convolves; a transposed convolution has the kernel reversed.
    norm.original1.copy_(4 * kernel.transpose(0, 1).flip(2))
    norm.original0.copy_(norm.original1.norm(dim=2, keepdim=True))
    expect(generator(torch.from_numpy(golden["mel"])), golden["vits/ms/waveform"])


def test_bands_and_their_loss(golden: Golden) -> None:
    bank = FilterBank(4, cutoff=0.15, middle=-0.5)
    real, fake = (bank.split(torch.from_numpy(golden[name])) for name in ("real", "fake"))
    expect(real, golden["pqmf/bands"])
    loss = sub_band_loss(fake, real)
    np.testing.assert_allclose(loss.item(), golden["loss"][0], rtol=1e-5)
