"""Recordings that a voice speaks in the voice of, checked before a model sees them.

T text, N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from allophone.errors import UserError
from allophone.synthesis.protocol import Prompt, Prompted
from allophone.text.symbols import SymbolTable

_SILENCE = 1e-3
"""A recording that is nowhere louder (-60 dB) has no voice in it."""


def make_prompt(
    samples: NDArray[np.float32],
    symbols: Sequence[str],
    *,
    space: Sequence[str],
    name: str,
    sample_rate: int,
    synthesizer: Any,
    table: SymbolTable,
    device: torch.device,
) -> Prompt:
    """A prompt of samples [N] and of what is said in them, none for a sentence that begins with it.

    space: what stands between two words of a text, as symbols.
    name: of the recording, for errors.
    Raises UserError for a model that takes none, for what is too short, too long or silent, and for
    symbols that the table lacks.
    """
    if not isinstance(synthesizer, Prompted):
        raise UserError(
            "This voice speaks as itself, and takes no recording to speak in the voice of.",
            hint="Leave the prompt out, or take a voice that was trained to be given one.",
        )
    seconds = len(samples) / sample_rate
    shortest, longest = synthesizer.prompt_seconds
    if not shortest <= seconds <= longest:
        raise UserError(
            f"{name} has {seconds:.2f} s; a prompt has {shortest:g} to {longest:g} s.",
            hint="Cut it to a few seconds, and its text to the words in them."
            if seconds > longest
            else "Take a longer recording: a sentence of some three seconds is best.",
        )
    if np.abs(samples).max() < _SILENCE:
        raise UserError(f"{name} is silent: there is no voice in it to speak in.")
    words = [*symbols]
    if words and [*words[-len(space) :]] != [*space] and not table.missing(space):
        words += space
    return Prompt(
        ids=torch.tensor(table.encode_within(words), dtype=torch.long, device=device),
        waveform=torch.from_numpy(samples).to(device),
    )


def check_prompt(prompt: Prompt | None, synthesizer: Any) -> None:
    """UserError for a prompt that the model does not take, and for one that it needs and is not given."""
    if prompt is not None and not isinstance(synthesizer, Prompted):
        raise UserError("This voice speaks as itself, and takes no prompt.", hint="Leave it out.")
    if prompt is None and isinstance(synthesizer, Prompted) and synthesizer.needs_prompt:
        raise UserError(
            "This voice speaks in the voice of a recording, and was given none.",
            hint="Give a recording of a few seconds and what is said in it: --prompt-audio FILE "
            '--prompt-text "..." (in Python: voice.prompt), or the columns of a list.',
        )
