"""A student: VITS of which some parts learn to do as those of a teacher.

Legend: B batch, C latent channels, F frames, N samples, T text.
"""

from __future__ import annotations

from typing import Literal

from attrs import frozen
from torch import Tensor, nn

from allophone_vits.model import Generator, Vits
from allophone_vits.text_encoder import EncodedText


@frozen(kw_only=True)
class Answer:
    """What the parts of a student give; None of those that were not asked.

    latents: [B, C, F], of its flow; waveform: [B, N], of its decoder; text: of its text encoder.
    """

    latents: Tensor | None
    waveform: Tensor | None
    text: EncodedText | None


class AnswersInParts(nn.Module):
    """Makes a `Generator` a student: its pass in training asks each part on its own."""

    def forward(  # type: ignore[misc]
        self: Generator,
        *,
        speakers: Tensor,
        latents: Tensor | None = None,
        prior_samples: Tensor | None = None,
        inside: Tensor | None = None,
        tokens: Tensor | None = None,
        token_mask: Tensor | None = None,
        decoded: Literal["taught", "flowed"] | None = None,
    ) -> Answer:
        """speakers: [B] ids.

        prior_samples: [B, C, M + F + M], the flow's input, with its margin M on each side, zero where `inside`
            [B, 1, M + F + M] is false.
        latents: [B, C, F], the teacher's.
        decoded: the decoder's input, "taught" for `latents`, "flowed" for what the flow makes of `prior_samples`;
            None does not ask it.
        tokens: [B, T] ids, the text encoder's input, with `token_mask` [B, 1, T].
        """
        speaker = self.speaker(speakers)
        flowed = text = waveform = None
        if prior_samples is not None:
            margin = self.flow.margin
            flowed = self.flow.inverse(prior_samples, inside, speaker)
            flowed = flowed[:, :, margin : flowed.size(2) - margin]
        if tokens is not None:
            text = self.encode_text(tokens, token_mask, speaker)
        if decoded == "taught":
            waveform = self.decoder(latents, None, speaker)
        elif decoded == "flowed":
            waveform = self.decoder(flowed, None, speaker)
        return Answer(latents=flowed, waveform=waveform, text=text)


class StudentVits(AnswersInParts, Vits):  # type: ignore[misc]
    """VITS as a student."""
