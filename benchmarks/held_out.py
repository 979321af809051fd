"""The recordings used by benchmarks: utterances of one split of a manifest.

N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import click
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from allophone.audio.files import read_audio
from allophone.data.manifest import Split, Utterance, read_manifest
from allophone.errors import UserError

T = TypeVar("T")


@frozen(kw_only=True, eq=False)
class Recording:
    """An utterance and its samples [N] float32."""

    utterance: Utterance
    samples: NDArray[np.float32]


def held_out(manifest: Path, split: Split, count: int) -> Sequence[Utterance]:
    """At most `count` utterances of a split, as `spread` chooses them."""
    found = [one for one in read_manifest(manifest) if one.split == split]
    if not found:
        raise UserError(f"{manifest} has no utterances in the split '{split}'.")
    return spread(found, count)


def spread(items: Sequence[T], count: int) -> Sequence[T]:
    """At most `count` items, evenly spaced; deterministic."""
    if count >= len(items):
        return items
    return [items[index * len(items) // count] for index in range(count)]


def recorded(utterance: Utterance, sample_rate: int) -> Recording:
    """Read the recording of an utterance at a sample rate."""
    audio = read_audio(
        utterance.audio, sample_rate=sample_rate, start=utterance.start, end=utterance.end
    )
    return Recording(utterance=utterance, samples=audio.samples)


def split_options(count: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options --split and --count of a command."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        command = click.option(
            "--count", default=count, show_default=True, help="Utterances of each manifest."
        )(command)
        return click.option(
            "--split", default="test", show_default=True, type=click.Choice(get_args(Split))
        )(command)

    return decorate
