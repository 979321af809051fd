"""The generator equals that of the package vocos, and the inverse STFT that of PyTorch."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from allophone_vocos.config import VocosConfig
from allophone_vocos.inverse_stft import InverseStft
from allophone_vocos.network import Vocos

NAMES = {
    "embed.": "embed.",
    "norm.": "norm.",
    "final_layer_norm.": "last_norm.",
    "convnext.": "blocks.",
    ".dwconv.": ".depthwise.",
    ".pwconv1.": ".expand.",
    ".pwconv2.": ".project.",
    ".gamma": ".scale",
}
"""Our names of weights by parts of theirs."""


def our_name(name: str) -> str:
    if name.startswith("final_layer_norm."):
        return name.replace("final_layer_norm.", "last_norm.")
    for theirs, ours in NAMES.items():
        name = name.replace(theirs, ours)
    return name


@pytest.mark.parametrize(("n_fft", "hop_length"), [(1024, 256), (512, 128), (800, 200), (512, 256)])
def test_generator_equals_the_reference(n_fft: int, hop_length: int) -> None:
    models = pytest.importorskip("vocos.models")
    heads = pytest.importorskip("vocos.heads")
    torch.manual_seed(0)
    backbone = models.VocosBackbone(20, dim=32, intermediate_dim=64, num_layers=3)
    head = heads.ISTFTHead(32, n_fft, hop_length, padding="same")
    for parameter in (*backbone.parameters(), *head.parameters()):
        torch.nn.init.normal_(parameter, std=0.3)
    config = VocosConfig(channels=32, feed_forward_channels=64, blocks=3, n_fft=n_fft)
    ours = Vocos(config, in_channels=20, hop_length=hop_length)
    weights = {our_name(name): tensor for name, tensor in backbone.state_dict().items()}
    ours.load_state_dict(weights | {"output.weight": head.out.weight, "output.bias": head.out.bias})
    features = torch.randn(2, 20, 30)
    with torch.no_grad():
        theirs = head(backbone(features))
        found = ours(features)
    assert found.shape == theirs.shape == (2, 30 * hop_length)
    assert theirs.abs().max() > 0.1
    torch.testing.assert_close(found, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("n_fft", "hop_length"), [(1024, 256), (400, 100), (512, 256)])
def test_inverse_equals_torch_istft(n_fft: int, hop_length: int) -> None:
    """torch.istft cuts half a window off each side; what lies within both must be equal."""
    torch.manual_seed(0)
    frames, bins = 20, n_fft // 2 + 1
    spectrum = torch.randn(2, bins, frames, dtype=torch.complex64)
    spectrum[:, 0] = spectrum[:, 0].real.to(torch.complex64)
    spectrum[:, -1] = spectrum[:, -1].real.to(torch.complex64)
    theirs = torch.istft(spectrum, n_fft, hop_length, window=torch.hann_window(n_fft))
    columns = spectrum.transpose(1, 2)
    ours = InverseStft(n_fft, hop_length)(columns.real, columns.imag)
    assert ours.shape == (2, frames * hop_length)
    inner = ours[:, hop_length // 2 : -hop_length // 2]
    torch.testing.assert_close(inner, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("hop_length", [256, 128, 512])
def test_inverse_inverts_the_stft(hop_length: int) -> None:
    torch.manual_seed(0)
    n_fft = 1024
    waveform = torch.randn(2, 30 * hop_length)
    inverse = InverseStft(n_fft, hop_length)
    margin = (n_fft - hop_length) // 2
    spectrum = torch.stft(
        functional.pad(waveform, (margin, margin)),
        n_fft,
        hop_length,
        window=torch.hann_window(n_fft),
        center=False,
        return_complex=True,
    ).transpose(1, 2)
    torch.testing.assert_close(inverse(spectrum.real, spectrum.imag), waveform, rtol=0, atol=1e-5)
