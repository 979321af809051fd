"""Speaker-conditioned text encoder (section 2.4).

Legend: B batch, T text, H hidden channels, S speaker channels.
"""

from __future__ import annotations

from torch import Tensor, nn

from allophone_vits.config import TextEncoderConfig
from allophone_vits.layers import masked
from allophone_vits.text_encoder import EncodedText, TextEncoder

SPEAKER_BLOCK = 2
"""Index of the block whose input the speaker is added to: the third, as in the paper."""


class SpeakerTextEncoder(TextEncoder):
    """VITS's text encoder, with the speaker added before the third block, or the last if fewer."""

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
        hidden = self.embed(tokens, mask)
        hidden = self.run_blocks(self.blocks[: self.speaker_block], hidden, mask)
        hidden = hidden + self.speaker(speaker.squeeze(2)).unsqueeze(2)
        hidden = self.run_blocks(self.blocks[self.speaker_block :], masked(hidden, mask), mask)
        return self.project(hidden, mask)
