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
class StudentOutput:
    """The outputs of a student's parts; None of those that did not run.

    latents: [B, C, F], of its flow; waveform: [B, N], of its decoder; text: of its text encoder.
    """

    latents: Tensor | None
    waveform: Tensor | None
    text: EncodedText | None


class StudentForward(nn.Module):
    """Makes a `Generator` a student: in training, its `forward` runs each part on its own input."""

    def forward(  # type: ignore[misc]
        self: Generator,
        *,
        speakers: Tensor,
        latents: Tensor | None = None,
        prior_samples: Tensor | None = None,
        inside: Tensor | None = None,
        tokens: Tensor | None = None,
        token_mask: Tensor | None = None,
        decode: Literal["teacher", "student"] | None = None,
    ) -> StudentOutput:
        """speakers: [B] ids.

        prior_samples: [B, C, M + F + M], the flow's input, with its margin M on each side, zero where `inside`
            [B, 1, M + F + M] is false.
        latents: [B, C, F], the teacher's.
        decode: whose latents the decoder is given: the "teacher"'s are `latents`, the "student"'s are what its flow
            makes of `prior_samples`; with None it does not run.
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
        if decode == "teacher":
            waveform = self.decoder(latents, None, speaker)
        elif decode == "student":
            waveform = self.decoder(flowed, None, speaker)
        return StudentOutput(latents=flowed, waveform=waveform, text=text)


class StudentVits(StudentForward, Vits):  # type: ignore[misc]
    """VITS as a student."""
