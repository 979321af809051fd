"""The text encoder of VITS2, which is told who speaks (section 2.4).

Legend: B batch, T text, H hidden channels, S speaker channels.
"""

from __future__ import annotations

from torch import Tensor, nn

from allophone_vits.config import TextEncoderConfig
from allophone_vits.layers import masked
from allophone_vits.text_encoder import EncodedText, TextEncoder

SPEAKER_BLOCK = 2
"""Before which block the speaker comes in, from 0: the paper's third."""


class SpeakerTextEncoder(TextEncoder):
    """VITS's text encoder, to which the speaker is added before its third block, or its last."""

    def __init__(
        self,
        config: TextEncoderConfig,
        *,
        vocabulary_size: int,
        latent_channels: int,
        speaker_channels: int,
    ) -> None:
        super().__init__(config, vocabulary_size=vocabulary_size, latent_channels=latent_channels)
        self.speaker = nn.Linear(speaker_channels, config.hidden_channels)
        self.speaker_block = min(SPEAKER_BLOCK, config.layers - 1)

    def forward(
        self, tokens: Tensor, mask: Tensor | None, speaker: Tensor | None = None
    ) -> EncodedText:
        """tokens [B, T] ids, mask [B, 1, T], speaker [B, S, 1] -> `EncodedText`."""
        assert speaker is not None
        hidden = self.embedded(tokens, mask)
        hidden = self.through(self.blocks[: self.speaker_block], hidden, mask)
        hidden = hidden + self.speaker(speaker.squeeze(2)).unsqueeze(2)
        hidden = self.through(self.blocks[self.speaker_block :], masked(hidden, mask), mask)
        return self.encoded(hidden, mask)
