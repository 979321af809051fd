"""Monotonic alignment search on tensors: by the C extension on the CPU, by a Triton kernel on a GPU.

The algorithm is from Glow-TTS (Kim et al. 2020, section 3.2), as used by VITS (Kim et al. 2021, section
2.2.1).

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
"""Maximum number of batch rows that an error message lists."""


@define(
    kw_only=True, eq=False
)  # Not frozen: torch.compile cannot trace the __init__ of frozen attrs.
class Alignment:
    """The most likely monotonic path through each utterance of a batch."""

    index: Tensor = field()
    """[B, F] int64: token index of each frame. Padding frames hold 0, so that the tensor can be passed
    to `gather`; mask the result."""

    durations: Tensor = field()
    """[B, T] int64: duration of each token in frames, at least 1; 0 for padding tokens."""

    def dense(self) -> Tensor:
        """Return the paths as matrices [B, F, T] bool, true where a frame belongs to a token.

        For inspection only: filling the matrices takes longer than the search. Compute with `index` and
        `durations` instead.
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
    """Find the monotonic path with the greatest sum of `values` for each utterance of a batch.

    A path starts at the first token in the first frame and ends at the last token in the last frame;
    between two frames it either stays at its token or moves to the next one. Among paths of equal value,
    the search returns the one that, followed back from the last frame, stays longest at the later tokens.
    Sums are accumulated frame by frame in float32.

    The search is not differentiable, does not modify `values`, and releases the GIL. It runs where the
    tensors are, with the same result on every device. On a GPU it does not wait for the device.

    Args:
        values: [B, F, T] float32, contiguous, on the CPU or a CUDA GPU: score of each frame and token,
            such as a log-likelihood. -inf excludes a pair: a path uses it only if every path must. Cells
            that no path can reach, and those beyond the lengths, are never read.
        frame_lengths: [B] int64, on the same device: number of frames of each utterance, 0 to F.
        token_lengths: [B] int64, on the same device: number of tokens of each utterance, 0 to T and at
            most its number of frames, since each token takes at least one. 0 gives an empty path.
        threads: maximum number of threads; defaults to `torch.get_num_threads()`. Threads share the
            batch, never an utterance; a small batch uses one thread. For the CPU only.
        instruction_set: one of `instruction_sets()`, for tests and benchmarks; defaults to the best.
            The result does not depend on it. For the CPU only.

    Raises:
        UserError: for a wrong shape, dtype, device or layout. On the CPU also for lengths out of range;
            for more tokens than frames; for NaN or +inf among the values read, or a sum that overflows
            to +inf; the message names the batch rows. On a GPU, where reading them would mean to wait,
            such rows get an empty path: `index` and `durations` 0.
    """
    _check_tensor("values", values, torch.float32, "BFT")
    _check_tensor("frame_lengths", frame_lengths, torch.int64, "B", values.device)
    _check_tensor("token_lengths", token_lengths, torch.int64, "B", values.device)
    if not len(frame_lengths) == len(token_lengths) == len(values):
        raise UserError(
            f"monotonic_alignment: values hold {len(values)} utterances, but frame_lengths "
            f"{len(frame_lengths)} and token_lengths {len(token_lengths)}."
        )
    if threads is not None and threads < 1:
        raise UserError(f"monotonic_alignment: threads must be at least 1, not {threads}.")

    index, durations = torch.ops.allophone.monotonic_alignment(
        values, frame_lengths, token_lengths, threads, instruction_set
    )
    return Alignment(index=index, durations=durations)


# Registered as an operator so that torch.compile does not trace into it. `torch.compiler.disable` has the
# same effect, but imports the whole compiler, which takes a second.
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
    """Call the extension; returns `index` [B, F] and `durations` [B, T] of `Alignment`."""
    ffi, lib = _extension().ffi, _extension().lib
    rank = 0 if instruction_set is None else _rank(instruction_set)
    batch, frames, tokens = values.shape
    threads = min(threads or torch.get_num_threads(), max(batch, 1))
    index = torch.empty(batch, frames, dtype=torch.int64)
    durations = torch.empty(batch, tokens, dtype=torch.int64)
    refusals = torch.empty(batch, dtype=torch.uint8)
    workspace = torch.empty(threads * lib.workspace_bytes(rank, frames, tokens), dtype=torch.uint8)

    search = ffi.new("struct search *")  # Borrows the memory of the tensors in this scope.
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
        raise _input_error(refusals.tolist(), values, frame_lengths, token_lengths)
    return index, durations


@torch.library.impl("allophone::monotonic_alignment", "cuda")
def _search_on_gpu(
    values: Tensor,
    frame_lengths: Tensor,
    token_lengths: Tensor,
    threads: int | None,
    instruction_set: str | None,
) -> tuple[Tensor, Tensor]:
    """Launch the Triton kernel; returns the same as `_search`."""
    try:
        from allophone.alignment import gpu
    except ImportError as error:
        raise UserError(
            f"The alignment search on a GPU needs Triton, which cannot be imported: {error}.",
            hint="Install it with `pip install triton`, or search on the CPU: move the tensors with .cpu(), "
            "and the alignment back with .to(device).",
        ) from error
    return gpu.search(values, frame_lengths, token_lengths)


@torch.library.register_fake("allophone::monotonic_alignment")
def _shapes(values: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    """Return empty tensors of the output shapes, for torch.compile."""
    batch, frames, tokens = values.shape
    return (
        values.new_empty(batch, frames, dtype=torch.int64),
        values.new_empty(batch, tokens, dtype=torch.int64),
    )


@cache
def instruction_sets() -> tuple[str, ...]:
    """Return the instruction sets that the search can use on this CPU, best first."""
    ffi, lib = _extension().ffi, _extension().lib
    names: list[str] = []
    while (name := lib.instruction_set_name(len(names))) != ffi.NULL:
        names.append(ffi.string(name).decode())
    return tuple(names)


def instruction_set() -> str:
    """Return the instruction set that the search uses on this CPU by default."""
    return instruction_sets()[0]


@cache
def _extension() -> ModuleType:
    try:
        return import_module("allophone.alignment._search")
    except ImportError as error:
        raise UserError(
            f"The C extension of the alignment search cannot be loaded: {error}.",
            hint="It is built when allophone is installed, and needs a C compiler. Reinstall with `pip "
            "install --force-reinstall --no-deps allophone`, or in a checkout `pip install -e core`.",
        ) from error


def _rank(instruction_set: str) -> int:
    if instruction_set not in instruction_sets():
        raise UserError(
            f"monotonic_alignment: this CPU does not support the instruction set {instruction_set!r}.",
            hint=near_miss(instruction_set, instruction_sets()),
        )
    return instruction_sets().index(instruction_set)


def _check_tensor(
    name: str, tensor: Tensor, dtype: torch.dtype, axes: str, device: torch.device | None = None
) -> None:
    expected = f"monotonic_alignment: {name} should be a {dtype} tensor [{', '.join(axes)}]"
    if not isinstance(tensor, Tensor):
        raise UserError(f"{expected}, not {type(tensor).__name__}.")
    if tensor.dtype != dtype or tensor.dim() != len(axes):
        raise UserError(f"{expected}, not {tensor.dtype} {list(tensor.shape)}.")
    if device is None and tensor.device.type not in ("cpu", "cuda"):
        raise UserError(
            f"{expected} on the CPU or a CUDA GPU, not on {tensor.device}.",
            hint="Move it with .cpu(), and the alignment back with .to(device).",
        )
    if device is not None and tensor.device != device:
        raise UserError(f"{expected} on the device of values, {device}, not on {tensor.device}.")
    if not tensor.is_contiguous():
        raise UserError(
            f"{expected}, contiguous; its strides are {list(tensor.stride())}.",
            hint="Compute it in this layout, or copy it with .contiguous().",
        )


def _input_error(
    refusals: Sequence[int], values: Tensor, frame_lengths: Tensor, token_lengths: Tensor
) -> UserError:
    """Build the error for invalid utterances: if there are several reasons, for the first one."""
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
            f"monotonic_alignment: lengths out of range, {where}; "
            f"values have {frames} frames and {tokens} tokens."
        )
    if reason == lib.MORE_TOKENS_THAN_FRAMES:
        return UserError(
            f"monotonic_alignment: more tokens than frames, {where}; each token needs at least one.",
            hint="Remove such utterances from the data. If all rows are listed, the lengths or the "
            "axes of values may be swapped.",
        )
    assert reason == lib.SCORE_NOT_FINITE
    return UserError(
        f"monotonic_alignment: NaN or +inf in the values or their sums, {where}.",
        hint="-inf is allowed. If many rows are listed, training has probably diverged.",
    )
