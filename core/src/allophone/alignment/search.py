"""Monotonic alignment search on tensors: the Python side of the C extension.

The search is that of Glow-TTS (Kim et al. 2020, section 3.2) in the form in which VITS uses it (Kim
et al. 2021, section 2.2.1).

Shapes: B batch, F frames, T text tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from types import ModuleType

import torch
from attrs import define, field
from torch import Tensor

from allophone.errors import UserError, near_miss

ROWS_NAMED = 8
"""How many rows of the batch an error lists at most."""


@define(kw_only=True, eq=False)  # Not frozen: torch.compile cannot trace how such a record is made.
class Alignment:
    """The most likely monotonic path through each utterance of a batch."""

    index: Tensor = field()
    """[B, F] int64: the token that each frame belongs to. Frames beyond an utterance's length hold
    0, so that the index can gather as it stands; mask what was gathered."""

    durations: Tensor = field()
    """[B, T] int64: how many frames each token lasts, at least 1; 0 beyond the utterance."""

    def dense(self) -> Tensor:
        """The paths as matrices to look at: [B, F, T] bool, true where a frame belongs to a token.

        Filling the matrices takes longer than the search; compute with `index` and `durations`.
        """
        frames = torch.arange(self.index.shape[1], device=self.index.device)
        tokens = torch.arange(self.durations.shape[1], device=self.index.device)
        inside = frames < self.durations.sum(dim=1, keepdim=True)
        return (self.index[:, :, None] == tokens) & inside[:, :, None]


def monotonic_alignment(
    values: Tensor,
    frame_lengths: Tensor,
    token_lengths: Tensor,
    *,
    threads: int | None = None,
    instruction_set: str | None = None,
) -> Alignment:
    """Aligns each utterance of a batch: finds the path of the greatest sum of `values`.

    A path leads from the first token in the first frame to the last token in the last frame; from
    frame to frame it stays at its token or steps on to the next one. Of paths of equal value it is
    the one that, seen from the end, stays longest at the later tokens. Sums are float32, added up
    frame by frame.

    The search takes no part in autograd, leaves `values` as they are, and runs without the GIL.

    Args:
        values: [B, F, T] float32, contiguous, on the CPU: how well each frame fits each token, such
            as a log-likelihood. -inf rules a pairing out: a path takes it only where every path
            must. Cells that no path can pass, and those beyond the lengths, are never read.
        frame_lengths: [B] int64 on the CPU: each utterance's number of frames, 0 to F.
        token_lengths: [B] int64 on the CPU: each utterance's number of tokens, 0 to T, and not more
            than its frames, for every token takes one at least. No tokens give an empty path.
        threads: at most how many threads share the batch; `torch.get_num_threads()` unless given.
            An utterance is never split, and a small batch is not worth a second thread.
        instruction_set: one of `instruction_sets()`, to test or time it; the best unless given. The
            result is the same.

    Raises:
        UserError: for another shape, type, device or layout; for lengths out of range; for more
            tokens than frames; for a NaN or +inf among the values that are read, or a sum of them
            that overflows to +inf. The message names the rows of the batch. Nothing is moved or
            converted silently: scores on a GPU take a `.cpu()`, which waits for the device, and
            that should be seen where it is done.
    """
    _check_tensor("values", values, torch.float32, "BFT")
    _check_tensor("frame_lengths", frame_lengths, torch.int64, "B")
    _check_tensor("token_lengths", token_lengths, torch.int64, "B")
    if not len(frame_lengths) == len(token_lengths) == len(values):
        raise UserError(
            f"monotonic_alignment: values hold {len(values)} utterances, but frame_lengths "
            f"{len(frame_lengths)} and token_lengths {len(token_lengths)}."
        )
    if threads is not None and threads < 1:
        raise UserError(f"monotonic_alignment: threads is {threads}; it takes at least 1.")

    index, durations = torch.ops.allophone.monotonic_alignment(
        values, frame_lengths, token_lengths, threads, instruction_set
    )
    return Alignment(index=index, durations=durations)


# The extension is registered as an operator, which torch.compile calls without tracing into it.
# `torch.compiler.disable` would do too, but imports the whole compiler, which takes a second.
torch.library.define(
    "allophone::monotonic_alignment",
    "(Tensor values, Tensor frame_lengths, Tensor token_lengths, int? threads, str? instruction_set)"
    " -> (Tensor index, Tensor durations)",
)


@torch.library.impl("allophone::monotonic_alignment", "cpu")
def _search(
    values: Tensor,
    frame_lengths: Tensor,
    token_lengths: Tensor,
    threads: int | None,
    instruction_set: str | None,
) -> tuple[Tensor, Tensor]:
    """Calls the extension: the index [B, F] and durations [B, T] of `Alignment`."""
    ffi, lib = _extension().ffi, _extension().lib
    rank = 0 if instruction_set is None else _rank(instruction_set)
    batch, frames, tokens = values.shape
    threads = min(threads or torch.get_num_threads(), max(batch, 1))
    index = torch.empty(batch, frames, dtype=torch.int64)
    durations = torch.empty(batch, tokens, dtype=torch.int64)
    refusals = torch.empty(batch, dtype=torch.uint8)
    workspace = torch.empty(threads * lib.workspace_bytes(rank, frames, tokens), dtype=torch.uint8)

    search = ffi.new("struct search *")  # borrows the tensors, which live on in this frame
    search.scores = ffi.cast("float *", values.data_ptr())
    search.frame_lengths = ffi.cast("int64_t *", frame_lengths.data_ptr())
    search.token_lengths = ffi.cast("int64_t *", token_lengths.data_ptr())
    search.batch, search.frames, search.tokens = batch, frames, tokens
    search.index = ffi.cast("int64_t *", index.data_ptr())
    search.durations = ffi.cast("int64_t *", durations.data_ptr())
    search.refusals = ffi.cast("uint8_t *", refusals.data_ptr())
    search.workspace = ffi.cast("void *", workspace.data_ptr())
    search.threads = threads
    search.instruction_set = rank
    if lib.search_batch(search):
        raise _refusal(refusals.tolist(), values, frame_lengths, token_lengths)
    return index, durations


@torch.library.register_fake("allophone::monotonic_alignment")
def _shapes(values: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    """What the operator returns, without the numbers, for torch.compile to plan with."""
    batch, frames, tokens = values.shape
    return (
        values.new_empty(batch, frames, dtype=torch.int64),
        values.new_empty(batch, tokens, dtype=torch.int64),
    )


@cache
def instruction_sets() -> tuple[str, ...]:
    """The instruction sets that the search can use on this processor, best first."""
    ffi, lib = _extension().ffi, _extension().lib
    names: list[str] = []
    while (name := lib.instruction_set_name(len(names))) != ffi.NULL:
        names.append(ffi.string(name).decode())
    return tuple(names)


def instruction_set() -> str:
    """The instruction set that the search uses on this processor unless told otherwise."""
    return instruction_sets()[0]


@cache
def _extension() -> ModuleType:
    try:
        return import_module("allophone.alignment._search")
    except ImportError as error:
        raise UserError(
            f"The compiled part of the alignment search cannot be loaded: {error}.",
            hint="Installing allophone builds it, with a C compiler. Where there is one, run `pip "
            "install --force-reinstall --no-deps allophone`; in a checkout, `pip install -e core`.",
        ) from error


def _rank(instruction_set: str) -> int:
    if instruction_set not in instruction_sets():
        raise UserError(
            f"monotonic_alignment: there is no instruction set {instruction_set!r} here.",
            hint=near_miss(instruction_set, instruction_sets()),
        )
    return instruction_sets().index(instruction_set)


def _check_tensor(name: str, tensor: Tensor, dtype: torch.dtype, axes: str) -> None:
    expected = f"monotonic_alignment: {name} should be a {dtype} tensor [{', '.join(axes)}]"
    if not isinstance(tensor, Tensor):
        raise UserError(f"{expected}, not {type(tensor).__name__}.")
    if tensor.dtype != dtype or tensor.dim() != len(axes):
        raise UserError(f"{expected}, not {tensor.dtype} {list(tensor.shape)}.")
    if tensor.device.type != "cpu":
        raise UserError(
            f"{expected} on the CPU, not on {tensor.device}.",
            hint="Move it with .cpu(), and the alignment back with .to(device).",
        )
    if not tensor.is_contiguous():
        raise UserError(
            f"{expected}, contiguous; its strides are {list(tensor.stride())}.",
            hint="Compute it in this layout, which costs nothing, or copy it with .contiguous().",
        )


def _refusal(
    refusals: Sequence[int], values: Tensor, frame_lengths: Tensor, token_lengths: Tensor
) -> UserError:
    """The error for the utterances that the search refused: of several reasons, the first."""
    lib = _extension().lib
    reason = min(refusal for refusal in refusals if refusal != lib.ACCEPTED)
    rows = [row for row, refusal in enumerate(refusals) if refusal == reason]
    where = ", ".join(
        f"{row} ({frame_lengths[row].item()} frames, {token_lengths[row].item()} tokens)"
        for row in rows[:ROWS_NAMED]
    )
    if len(rows) > ROWS_NAMED:
        where += f" and {len(rows) - ROWS_NAMED} more"
    where = f"in batch row{'s' if len(rows) > 1 else ''} {where}"

    if reason == lib.LENGTH_OUT_OF_RANGE:
        _, frames, tokens = values.shape
        return UserError(
            f"monotonic_alignment: lengths that the values do not have, {where}; "
            f"there are {frames} frames and {tokens} tokens."
        )
    if reason == lib.MORE_TOKENS_THAN_FRAMES:
        return UserError(
            f"monotonic_alignment: more tokens than frames, {where}; every token takes a frame.",
            hint="Leave such utterances out when preparing the data. Where all rows are named, the "
            "lengths, or the axes of the values, may have been exchanged.",
        )
    assert reason == lib.SCORE_NOT_FINITE
    return UserError(
        f"monotonic_alignment: NaN or +inf among the values or their sums, {where}.",
        hint="-inf is allowed. Where many rows are named, training has most likely diverged.",
    )
