"""Packed convolutions match `nn.Conv1d`."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from allophone_vits.packed import PackedConv1d, is_packable, pack_convolutions

pytestmark = pytest.mark.skipif(
    not is_packable(nn.Conv1d(1, 1, 1)), reason="this build of PyTorch has no oneDNN"
)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("positions", [1, 2, 23, 64, 300])
@pytest.mark.parametrize(
    "source",
    [
        nn.Conv1d(12, 20, 1),
        nn.Conv1d(12, 20, 1, bias=False),
        nn.Conv1d(7, 5, 3, padding=1),
        nn.Conv1d(16, 32, 5, padding=2),
        nn.Conv1d(6, 1, 7, padding=3, bias=False),
    ],
    ids=repr,
)
@torch.inference_mode()
def test_packed_convolution_matches_conv1d(source, positions, batch):
    packed = PackedConv1d(source)
    values = torch.randn(batch, source.in_channels, positions)
    transposed = torch.randn(batch, positions, source.in_channels).transpose(1, 2)
    for given in (values, transposed):
        torch.testing.assert_close(packed(given), source(given), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv1d(4, 4, 3, padding=1, dilation=2),
        nn.Conv1d(4, 4, 3, padding=1, stride=2),
        nn.Conv1d(4, 4, 3, padding=1, groups=2),
        nn.Conv1d(4, 4, 3, padding="same"),
        nn.Conv1d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv1d(4, 4, 3).bfloat16(),
        nn.ConvTranspose1d(4, 4, 3),
        nn.Linear(4, 4),
    ],
    ids=repr,
)
def test_unsupported_modules_are_not_packed(module):
    assert not is_packable(module)
    network = nn.Sequential(nn.Sequential(module, nn.Conv1d(4, 4, 1)))
    pack_convolutions(network)
    assert network[0][0] is module
    assert isinstance(network[0][1], PackedConv1d)
