"""Monotonic alignment search on a GPU: one Triton kernel, launched once, without waiting for the device.

Imports Triton, so only the first search on a GPU imports this module.

One program of one warp aligns one utterance. It keeps the running totals of a row of tokens in registers, in words of
32 tokens, one token a lane, and sweeps over the frames. The total of the previous token is in the neighbouring lane,
so a frame takes one shuffle a word and no memory but its scores, which are copied to shared memory some frames ahead.
Each cell stores one bit: whether it was reached by a step from the previous token. The same program then walks back over
these bits, 32 frames at a time: within these the path moves by at most 32 tokens, so two loads fetch all bits that it can
meet. Where a text has more tokens than fit in registers, they are swept in strips, each from the totals
that the strip before it had at its last token.

super-monotonic-align (Supertone 2024) launches a Triton kernel too. It keeps the totals in `values`, which it
overwrites: each frame waits for the previous frame's totals from memory, in loads of one token each, since its tokens are
a row apart there. Its backtracking waits for two totals a frame, and it writes a dense path.

Shapes: B batch, F frames, T text tokens, W words of 32 tokens.
"""

# Triton's functions are compiled by Triton, and have its types.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, disable-error-code="assignment,var-annotated"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

WORD = tl.constexpr(32)
"""Tokens of a word: as many as a warp has lanes, and an int32 has bits."""

STRIP_WORDS = (2, 4, 6, 8, 12, 16)
"""Sizes of a strip in words: the smallest that holds the text, or the largest. The kernel is compiled for each that is
used, which takes some seconds once; beyond the largest, it would take longer and need too many registers."""


def search(
    values: Tensor, frame_lengths: Tensor, token_lengths: Tensor, *, strip_words: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return `index` [B, F] and `durations` [B, T] of the alignment; `monotonic_alignment` describes the arguments.

    strip_words: words of a strip, for tests; defaults to the best of `STRIP_WORDS`.
    """
    batch, frames, tokens = values.shape
    words = -(-tokens // 32)
    strip_words = strip_words or next((n for n in STRIP_WORDS if n >= words), STRIP_WORDS[-1])
    index = values.new_empty(batch, frames, dtype=torch.int64)
    durations = values.new_empty(batch, tokens, dtype=torch.int64)
    stepped = values.new_empty(batch, frames, words, dtype=torch.int32)
    strips = words > strip_words
    edges = values.new_empty((batch, 2, frames) if strips else 0)
    if not batch:
        return index, durations
    with torch.cuda.device_of(values):
        search_kernel[(batch,)](
            values,
            frame_lengths,
            token_lengths,
            index,
            durations,
            stepped,
            edges,
            frames,
            tokens,
            words,
            STRIP_WORDS=strip_words,
            STRIPS=strips,
            AHEAD=frames_ahead(strip_words),
            num_warps=1,
        )
    return index, durations


def frames_ahead(strip_words: int) -> int:
    """Stages of the pipeline that loads the scores of a strip: a narrow one spends less time on a frame."""
    return min(max(64 // strip_words, 4), 16)


@triton.jit(do_not_specialize=["max_frames", "max_tokens", "words"])
def search_kernel(
    values,
    frame_lengths,
    token_lengths,
    index,
    durations,
    stepped,
    edges,
    max_frames,
    max_tokens,
    words,
    STRIP_WORDS: tl.constexpr,  # noqa: N803
    STRIPS: tl.constexpr,  # noqa: N803
    AHEAD: tl.constexpr,  # noqa: N803
):
    """Align one utterance: the program's row of each tensor. `stepped` [B, F, W] and `edges` [B, 2, F] are scratch."""
    row = tl.program_id(0).to(tl.int64)
    # Such that products with them do not overflow.
    max_frames = tl.cast(max_frames, tl.int64)
    max_tokens = tl.cast(max_tokens, tl.int64)
    words = tl.cast(words, tl.int64)
    values += row * max_frames * max_tokens
    index += row * max_frames
    durations += row * max_tokens
    stepped += row * max_frames * words
    edges += row * 2 * max_frames
    frames = tl.load(frame_lengths + row)
    tokens = tl.load(token_lengths + row)
    allowed = (tokens > 0) & (tokens <= frames) & (frames <= max_frames) & (tokens <= max_tokens)
    frames = tl.where(allowed, frames, 0).to(tl.int32)
    tokens = tl.where(allowed, tokens, 0).to(tl.int32)

    finite = True
    for strip in range(tl.cdiv(tokens, STRIP_WORDS * WORD)):
        finite &= _sweep(
            values,
            stepped,
            edges,
            frames,
            tokens,
            max_frames,
            max_tokens,
            words,
            strip,
            STRIP_WORDS,
            STRIPS,
            AHEAD,
        )
        tl.debug_barrier()  # Lanes read what other lanes have written.
    frames = tl.where(finite, frames, 0)
    tokens = tl.where(finite, tokens, 0)
    _walk_back(stepped, index, durations, frames, tokens, words)
    _clear(index, frames, max_frames)
    _clear(durations, tokens, max_tokens)


@triton.jit
def _sweep(
    values,
    stepped,
    edges,
    frames,
    tokens,
    max_frames,
    max_tokens,
    words,
    strip,
    STRIP_WORDS: tl.constexpr,  # noqa: N803
    STRIPS: tl.constexpr,  # noqa: N803
    AHEAD: tl.constexpr,  # noqa: N803
):
    """Fill `stepped` for the tokens of a strip; returns whether none of their totals is NaN or +inf.

    Cells that no path can reach are not read, and their scores count as 0. Those before a path gets there have the
    total -inf, and no path passes those that it has left behind, whatever their totals. A total that is NaN or +inf
    never becomes less than +inf again, so the last totals tell of all.
    """
    lanes = tl.arange(0, WORD)
    start = strip * STRIP_WORDS * WORD
    behind = edges + (strip + 1) % 2 * max_frames
    ahead = edges + strip % 2 * max_frames
    totals = ()
    for _ in tl.static_range(STRIP_WORDS):
        totals += (tl.full((WORD,), float("-inf"), tl.float32),)
    # Totals of the token before the strip. That before the first token is 0 ahead of the first frame only.
    before = tl.full((WORD,), 0.0, tl.float32)

    for frame in tl.range(
        start, tl.minimum(frames, frames - tokens + start + STRIP_WORDS * WORD), num_stages=AHEAD
    ):
        first = frame + tokens - frames
        last = tl.minimum(frame, tokens - 1)
        scores = values + frame * max_tokens
        if STRIPS:
            known = (strip > 0) & (frame - 1 <= frames - tokens + start - 1)
            edge = tl.load(behind + frame - 1, mask=known, other=float("-inf"))
            before = tl.where((strip == 0) & (frame == 0), before, edge)
        packed = tl.full((WORD,), 0, tl.int32)
        left = before
        after = ()
        for word in tl.static_range(STRIP_WORDS):
            token = start + word * WORD + lanes
            reachable = (token >= first) & (token <= last)
            score = tl.load(scores + token, mask=reachable, other=0.0)
            stay = totals[word]
            # Lane 31 passes on the last total of the word before.
            step = tl.gather(tl.where(lanes == 31, left, stay), (lanes + 31) % 32, 0)
            left = stay
            steps = stay < step
            after += (score + tl.where(steps, step, stay),)
            bits = tl.sum(tl.where(steps, 1 << lanes, 0), 0)
            packed = tl.where(lanes == word, bits, packed)
        totals = after
        before = tl.full((WORD,), float("-inf"), tl.float32)
        at = strip * STRIP_WORDS + lanes
        tl.store(
            stepped + frame * words + at,
            packed,
            mask=(lanes < STRIP_WORDS) & (at < words),
        )
        if STRIPS:
            tl.store(ahead + frame + 0 * lanes, totals[STRIP_WORDS - 1], mask=lanes == 31)

    refused = tl.full((WORD,), 0, tl.int32)
    for word in tl.static_range(STRIP_WORDS):
        refused |= tl.where(totals[word] < float("inf"), 0, 1)
    return tl.max(refused, 0) == 0


@triton.jit
def _walk_back(stepped, index, durations, frames, tokens, words):
    """Write the path from the last token in the last frame back to the first: index [frames], durations [tokens].

    Every lane walks the same path, and keeps the frame of its own number.
    """
    lanes = tl.arange(0, WORD)
    token = tl.full((WORD,), 0, tl.int32) + tokens - 1
    end = tl.full((WORD,), 0, tl.int32) + frames  # One past the last frame of the token.
    for block in range(tl.cdiv(frames, WORD)):
        latest = frames - 1 - block * WORD
        frame = latest - lanes
        # In each lane, the bits of its frame: that of the token in bit 31, of the token before it in bit 30, and so on.
        word = token // WORD
        cells = stepped + frame * words + word
        high = tl.load(cells, mask=frame >= 0, other=0).to(tl.int64)
        low = tl.load(cells - 1, mask=(frame >= 0) & (word > 0), other=0).to(tl.int64)
        pair = (high << 32) | (low & 0xFFFFFFFF)
        window = (pair >> (token % WORD + 1)).to(tl.int32)
        path = token
        ends = end
        firsts = lanes < 0
        back = tl.full((WORD,), 0, tl.int32)
        for step in tl.static_range(32):
            bits = tl.gather(window, tl.full((WORD,), step, tl.int32), 0)
            # A token that is at its earliest frame must step, whatever was decided between two of -inf.
            here = token - back
            steps = ((bits >> (31 - back)) & 1 != 0) | (here == latest - step)
            own = lanes == step
            path = tl.where(own, here, path)
            ends = tl.where(own, end, ends)
            firsts = tl.where(own, steps, firsts)
            end = tl.where(steps, latest - step, end)
            back += steps.to(tl.int32)
        token -= back
        tl.store(index + frame, path.to(tl.int64), mask=frame >= 0)
        tl.store(durations + path, (ends - frame).to(tl.int64), mask=firsts & (frame >= 0))


@triton.jit
def _clear(output, length, capacity):
    """Write 0 to the padding of a row."""
    lanes = tl.arange(0, WORD)
    zero = tl.full((WORD,), 0, tl.int64)
    for start in range(length, capacity, WORD):
        tl.store(output + start + lanes, zero, mask=start + lanes < capacity)
