"""Monotonic alignment search (MAS): assigns each frame of an utterance to a token of its text."""

from allophone.alignment.search import (
    Alignment,
    instruction_set,
    instruction_sets,
    monotonic_alignment,
)

__all__ = ["Alignment", "instruction_set", "instruction_sets", "monotonic_alignment"]
