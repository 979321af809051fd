"""The synthesizer of VITS2, which is that of VITS."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from allophone.inference.protocol import VoiceSpec
from allophone_vits.synthesis import VitsSynthesizer, build_synthesizer_for
from allophone_vits2.model import Vits2


def build_synthesizer(
    spec: VoiceSpec, weights: Mapping[str, Tensor], device: torch.device
) -> VitsSynthesizer:
    """Build a synthesizer from a voice's weights; see `allophone_vits.synthesis.build_synthesizer`."""
    return build_synthesizer_for(Vits2, spec, weights, device)
