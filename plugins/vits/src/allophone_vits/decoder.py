"""Decoders: latents to a waveform, by the table `[model.decoder]`.

Legend: B batch, C latent channels, S speaker channels, F frames, N samples.
"""

from __future__ import annotations

from typing import Any

from allophone.audio.melspec import MelSpec
from allophone_hifigan.config import HifiganConfig, IstftConfig
from allophone_hifigan.istft import IstftGenerator
from allophone_vits.hifigan_decoder import HifiganDecoder
from allophone_vocos.config import VocosConfig
from allophone_vocos.network import Vocos

Decoder = HifiganDecoder | IstftGenerator | Vocos
"""Latents [B, C, F] to samples [B, N], `hop_length` per frame.

Called with latents, a mask [B, 1, F] or None, and a speaker [B, S, 1] or None. With a mask, an utterance's samples
do not depend on its padding. `in_channels` is C; `margin` the frames of context on each side that a frame's
samples depend on.
"""


def build_decoder(
    config: Any, *, latent_channels: int, speaker_channels: int, audio: MelSpec
) -> Decoder:
    """Build the decoder of a config.

    Raises ConfigError unless it makes one hop of `audio` of each frame.
    """
    config.check_audio(audio)
    if isinstance(config, VocosConfig):
        return Vocos(
            config,
            in_channels=latent_channels,
            hop_length=audio.hop_length,
            speaker_channels=speaker_channels,
        )
    if isinstance(config, IstftConfig):
        return IstftGenerator(
            config, in_channels=latent_channels, speaker_channels=speaker_channels
        )
    assert isinstance(config, HifiganConfig)
    return HifiganDecoder(
        config, latent_channels=latent_channels, speaker_channels=speaker_channels
    )
