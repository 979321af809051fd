"""VITS2 as the core's voices speak with it: by VITS's synthesizer."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from allophone.inference.protocol import VoiceSpec
from allophone_vits.synthesis import VitsSynthesizer, synthesizer_of
from allophone_vits2.model import Vits2


def build_synthesizer(
    spec: VoiceSpec, weights: Mapping[str, Tensor], device: torch.device
) -> VitsSynthesizer:
    """Make a voice's weights ready to speak; see `allophone_vits.synthesis.build_synthesizer`."""
    return synthesizer_of(Vits2, spec, weights, device)
