"""Voice prompts: recordings of the speaker to clone, checked before they reach an engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from allophone.errors import UserError
from allophone.synthesis.engine import Engine, Prompt, Samples
from allophone.text.symbols import SymbolTable

_SILENCE = 1e-3
"""Prompts with a lower peak (-60 dB) are rejected as silent."""


def takes_prompts(engine: Engine) -> bool:
    """Whether an engine can clone the voice of a recording."""
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
    """Make a prompt from samples [N] and the symbols of their transcript.

    symbols: empty if the sentences to synthesize begin with the transcript themselves.
    space: the symbols between two words.
    name: the name of the recording, for messages.

    Raises UserError if the engine takes no prompts, if the recording is too short, too long or silent, and for
    symbols that are not in the table.
    """
    if not takes_prompts(engine):
        raise UserError(
            "This voice does not take prompts: it only speaks with its own speakers.",
            hint="Omit the prompt, or use a voice whose model clones speakers from recordings.",
        )
    seconds = len(samples) / sample_rate
    shortest, longest = getattr(engine, "prompt_seconds")  # noqa: B009 - optional part of Engine
    if not shortest <= seconds <= longest:
        raise UserError(
            f"{name} is {seconds:.2f} s long; a prompt must be {shortest:g} to {longest:g} s long.",
            hint="Cut it to a few seconds, and its text to the same words."
            if seconds > longest
            else "Use a longer recording; a sentence of about three seconds works best.",
        )
    if np.abs(samples).max() < _SILENCE:
        raise UserError(f"{name} is silent: its peak is below -60 dB.")
    words = [*symbols]
    if words and [*words[-len(space) :]] != [*space] and not table.missing(space):
        words += space
    return Prompt(ids=tuple(table.encode_within(words)), samples=samples)


def check_prompt(prompt: Prompt | None, engine: Engine) -> None:
    """Raise UserError if a prompt is given that the engine does not take, or is missing where it needs one."""
    if prompt is not None and not takes_prompts(engine):
        raise UserError("This voice does not take prompts.", hint="Omit the prompt.")
    if prompt is None and getattr(engine, "needs_prompt", False):
        raise UserError(
            "This voice clones the speaker of a recording, but no prompt was given.",
            hint="Give a recording of a few seconds and its transcript: --prompt-audio FILE "
            '--prompt-text "..." (in Python: voice.prompt), or the columns of a list.',
        )
