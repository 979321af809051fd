"""Validation of configurations, and the sizes of published models."""

from __future__ import annotations

import pytest

from allophone.audio.melspec import MelSpec
from allophone.errors import ConfigError
from allophone.weights.norm import for_inference
from allophone_vits.config import (
    SIZES,
    TextEncoderConfig,
    VitsConfig,
    VitsTrainerConfig,
)
from allophone_vits.model import Vits


class TestConfig:
    @pytest.mark.parametrize(
        ("build", "message"),
        [
            (lambda: TextEncoderConfig(hidden_channels=7), "heads"),
            (lambda: TextEncoderConfig(kernel_size=4), "odd"),
            (lambda: VitsConfig(latent_channels=3), "even"),
        ],
    )
    def test_invalid_configs_are_rejected(self, build: object, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            build()  # type: ignore[operator]

    def test_decoder_must_upsample_to_the_hop_length(self) -> None:
        with pytest.raises(ConfigError, match="8 x 8 x 2 x 2 = 256.*hop_length is 200"):
            Vits(VitsConfig(), vocabulary_size=9, speakers=1, audio=MelSpec(hop_length=200))

    def test_segment_size_must_be_whole_frames(self) -> None:
        assert VitsTrainerConfig().segment_frames(MelSpec()) == 32
        with pytest.raises(ConfigError, match="not a multiple"):
            VitsTrainerConfig(segment_size=1000).segment_frames(MelSpec())


def test_sizes_match_the_published_models() -> None:
    """Parameter counts of the inference graphs of Piper's medium voices and of the reference."""
    sizes = {}
    for name in ("base", "medium"):
        with for_inference():
            model = Vits(SIZES[name], vocabulary_size=178, speakers=1, audio=MelSpec())
        model.discard_training_parts()
        sizes[name] = sum(parameter.numel() for parameter in model.parameters())
    assert 28.2e6 < sizes["base"] < 28.4e6
    assert sizes["medium"] == 15_650_459 - (256 - 178) * 192
