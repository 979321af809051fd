"""Recordings whose voice is to be spoken in, checked before an engine sees them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from allophone.errors import UserError
from allophone.synthesis.engine import Engine, Prompt, Samples
from allophone.text.symbols import SymbolTable

_SILENCE = 1e-3
"""A recording whose peak lies below this (-60 dB) has no voice in it."""


def takes_prompts(engine: Engine) -> bool:
    """Whether an engine speaks in the voice of a recording."""
    return getattr(engine, "prompt_seconds", None) is not None


def make_prompt(
    samples: Samples,
    symbols: Sequence[str],
    *,
    space: Sequence[str],
    name: str,
    sample_rate: int,
    engine: Engine,
    table: SymbolTable,
) -> Prompt:
    """A prompt of samples [N] and of what is said in them; no symbols for a sentence that begins with it.

    space: the symbols between two words.
    name: of the recording, for errors.
    Raises UserError for an engine that takes none, for what is too short, too long or silent, and for
    symbols that the table lacks.
    """
    if not takes_prompts(engine):
        raise UserError(
            "This voice takes no prompt: it has speakers of its own.",
            hint="Leave the prompt out, or use a voice of a model that clones from a recording.",
        )
    seconds = len(samples) / sample_rate
    shortest, longest = getattr(engine, "prompt_seconds")  # noqa: B009 - optional part of Engine
    if not shortest <= seconds <= longest:
        raise UserError(
            f"{name} lasts {seconds:.2f} s; a prompt lasts {shortest:g} to {longest:g} s.",
            hint="Cut it to a few seconds, and its text to the words in them."
            if seconds > longest
            else "Use a longer recording: a sentence of some three seconds is best.",
        )
    if np.abs(samples).max() < _SILENCE:
        raise UserError(f"{name} is silent: its peak is below -60 dB.")
    words = [*symbols]
    if words and [*words[-len(space) :]] != [*space] and not table.missing(space):
        words += space
    return Prompt(ids=tuple(table.encode_within(words)), samples=samples)


def check_prompt(prompt: Prompt | None, engine: Engine) -> None:
    """UserError for a prompt that the engine does not take, and for one that it needs and is not given."""
    if prompt is not None and not takes_prompts(engine):
        raise UserError("This voice takes no prompt.", hint="Leave it out.")
    if prompt is None and getattr(engine, "needs_prompt", False):
        raise UserError(
            "This voice clones the voice of a recording, and none was given.",
            hint="Give a recording of a few seconds and what is said in it: --prompt-audio FILE "
            '--prompt-text "..." (in Python: voice.prompt), or the columns of a list.',
        )
