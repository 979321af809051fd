"""Monotonic alignment search: which frames of an utterance belong to which token of its text."""

from allophone.alignment.search import (
    Alignment,
    instruction_set,
    instruction_sets,
    monotonic_alignment,
)

__all__ = ["Alignment", "instruction_set", "instruction_sets", "monotonic_alignment"]
