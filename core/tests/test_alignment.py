"""The alignment search against a NumPy oracle, in every instruction set that this processor runs.

Shapes: B batch, F frames, T text tokens.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from allophone.alignment import (
    Alignment,
    instruction_set,
    instruction_sets,
    monotonic_alignment,
    search,
)
from allophone.errors import UserError

Scores = npt.NDArray[np.float32]


def oracle(scores: Scores) -> list[int]:
    """The token of each frame, for scores [F, T] with 1 <= T <= F: the definition, row by row."""
    frames, tokens = scores.shape
    totals = np.full((frames, tokens), -np.inf, dtype=np.float32)
    totals[0, 0] = scores[0, 0]
    with np.errstate(over="ignore"):
        for frame in range(1, frames):
            stay = totals[frame - 1]
            step = np.concatenate([[np.float32(-np.inf)], stay[:-1]])
            totals[frame] = scores[frame] + np.maximum(stay, step)

    path = []
    token = tokens - 1
    for frame in reversed(range(frames)):
        path.append(token)
        before = totals[frame - 1]
        if token > 0 and (token == frame or before[token] < before[token - 1]):
            token -= 1
    return path[::-1]


def ragged_batch(utterances: list[Scores]) -> tuple[Tensor, Tensor, Tensor]:
    """Utterances [F, T] as the arguments of `monotonic_alignment`, NaN wherever none has scores."""
    frame_lengths = torch.tensor([len(scores) for scores in utterances])
    token_lengths = torch.tensor([scores.shape[1] for scores in utterances])
    values = torch.full(
        (len(utterances), int(frame_lengths.max()), int(token_lengths.max())), torch.nan
    )
    for row, scores in enumerate(utterances):
        values[row, : scores.shape[0], : scores.shape[1]] = torch.from_numpy(scores)
    return values, frame_lengths, token_lengths


def assert_is_path(alignment: Alignment, row: int, path: list[int], tokens: int) -> None:
    frames = len(path)
    durations = np.bincount(path, minlength=tokens).tolist() if path else [0] * tokens
    assert alignment.index[row, :frames].tolist() == path
    assert not alignment.index[row, frames:].any()
    assert alignment.durations[row, :tokens].tolist() == durations
    assert not alignment.durations[row, tokens:].any()


def random_utterance(random: np.random.Generator) -> Scores:
    """Scores of one of the kinds that a search could get wrong, in a shape that crosses vectors."""
    frames = int(random.integers(1, 49))
    tokens = int(random.integers(0, frames + 1))
    normal = random.standard_normal((frames, tokens), dtype=np.float32)
    match random.integers(6):
        case 0:  # many ties
            return np.round(normal)
        case 1:  # below any finite stand-in for -inf, and sums that overflow to -inf
            return -np.abs(normal) * np.float32(5e37)
        case 2:  # pairings that are ruled out
            return np.where(normal < -0.5, np.float32(-np.inf), normal)
        case 3:  # whole frames that are
            return np.where(normal[:, :1] < 0, np.float32(-np.inf), normal)
        case 4:  # sums that round
            return normal * np.float32(1e6)
        case _:
            return normal


def test_equals_the_oracle_on_ten_thousand_ragged_utterances() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        utterances = [random_utterance(random) for _ in range(50)]
        batch = ragged_batch(utterances)
        paths = [oracle(scores) if scores.shape[1] else [] for scores in utterances]
        expected = monotonic_alignment(*batch)
        for row, (scores, path) in enumerate(zip(utterances, paths, strict=True)):
            assert_is_path(expected, row, path, scores.shape[1])
        for name in instruction_sets():
            alignment = monotonic_alignment(*batch, instruction_set=name)
            assert torch.equal(alignment.index, expected.index), name
            assert torch.equal(alignment.durations, expected.durations), name


@given(
    scores=st.integers(1, 6).flatmap(
        lambda tokens: st.lists(
            st.lists(st.sampled_from([-3.0, -1.0, 0.0, 2.0]), min_size=tokens, max_size=tokens),
            min_size=tokens,
            max_size=9,
        )
    )
)
@settings(deadline=None)
def test_no_path_has_a_greater_sum(scores: list[list[float]]) -> None:
    values = torch.tensor([scores])
    _, frames, tokens = values.shape
    alignment = monotonic_alignment(values, torch.tensor([frames]), torch.tensor([tokens]))

    def value(path: list[int]) -> float:
        return sum(scores[frame][token] for frame, token in enumerate(path))

    def every_path() -> Iterator[list[int]]:
        for steps in itertools.combinations(range(1, frames), tokens - 1):
            yield np.searchsorted(steps, range(frames), side="right").tolist()

    path = alignment.index[0].tolist()
    assert path in every_path()
    assert value(path) == max(map(value, every_path()))
    assert path == oracle(values[0].numpy())


@pytest.mark.parametrize("name", instruction_sets())
@pytest.mark.parametrize("score", [0.0, -torch.inf])
def test_ties_stay_on_the_later_token(name: str, score: float) -> None:
    values = torch.full((1, 5, 3), score)
    alignment = monotonic_alignment(
        values, torch.tensor([5]), torch.tensor([3]), instruction_set=name
    )
    assert alignment.index.tolist() == [[0, 1, 2, 2, 2]]
    assert alignment.durations.tolist() == [[1, 1, 3]]


@pytest.mark.parametrize("name", instruction_sets())
def test_unreachable_cells_are_not_read(name: str) -> None:
    frames, tokens = 70, 50
    frame, token = torch.arange(frames)[:, None], torch.arange(tokens)
    passable = (token <= frame) & (tokens - token <= frames - frame)
    values = torch.randn(frames, tokens, generator=torch.manual_seed(0))
    clean = monotonic_alignment(
        values[None], torch.tensor([frames]), torch.tensor([tokens]), instruction_set=name
    )
    for poison in (torch.nan, torch.inf):
        poisoned = monotonic_alignment(
            values.where(passable, poison)[None],
            torch.tensor([frames]),
            torch.tensor([tokens]),
            instruction_set=name,
        )
        assert torch.equal(poisoned.index, clean.index)


def test_zero_lengths_give_empty_paths() -> None:
    alignment = monotonic_alignment(
        torch.randn(3, 4, 2), torch.tensor([0, 4, 4]), torch.tensor([0, 0, 2])
    )
    assert alignment.durations.sum(dim=1).tolist() == [0, 0, 4]
    assert not alignment.index[:2].any()
    assert alignment.dense().sum(dim=(1, 2)).tolist() == [0, 0, 4]


@pytest.mark.parametrize("shape", [(0, 4, 2), (2, 0, 0), (2, 4, 0)])
def test_empty_axes(shape: tuple[int, int, int]) -> None:
    batch, frames, tokens = shape
    alignment = monotonic_alignment(
        torch.empty(shape), torch.full((batch,), frames), torch.full((batch,), tokens)
    )
    assert alignment.index.shape == (batch, frames)
    assert alignment.durations.shape == (batch, tokens)
    assert alignment.dense().shape == shape


def test_dense_marks_only_the_token_of_each_frame() -> None:
    values, frame_lengths, token_lengths = ragged_batch(
        [np.zeros((5, 3), np.float32), np.zeros((3, 2), np.float32)]
    )
    dense = monotonic_alignment(values, frame_lengths, token_lengths).dense()
    assert dense.dtype == torch.bool
    assert dense.int().tolist() == [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]],
        [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]],
    ]


def large_batch() -> tuple[Tensor, Tensor, Tensor]:
    """Ragged, and with its 1.4 million cells or more worth a second thread."""
    random = torch.Generator().manual_seed(1)
    return (
        torch.randn(12, 900, 200, generator=random),
        torch.randint(800, 901, (12,), generator=random),
        torch.randint(150, 201, (12,), generator=random),
    )


def test_threads_change_nothing() -> None:
    values, frame_lengths, token_lengths = large_batch()
    single = monotonic_alignment(values, frame_lengths, token_lengths, threads=1)
    for row in range(len(values)):
        frames, tokens = int(frame_lengths[row]), int(token_lengths[row])
        assert_is_path(single, row, oracle(values[row, :frames, :tokens].numpy()), tokens)
    for threads in (None, 2, 5):
        several = monotonic_alignment(values, frame_lengths, token_lengths, threads=threads)
        assert torch.equal(several.index, single.index)
        assert torch.equal(several.durations, single.durations)


def test_the_input_is_not_modified() -> None:
    batch = large_batch()
    copies = [tensor.clone() for tensor in batch]
    monotonic_alignment(*batch)
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(batch, copies, strict=True))


def test_values_with_gradients_are_accepted() -> None:
    values = torch.randn(1, 6, 3, requires_grad=True)
    alignment = monotonic_alignment(values * 2, torch.tensor([6]), torch.tensor([3]))
    assert not alignment.index.requires_grad
    assert values.requires_grad


def test_it_can_be_called_from_compiled_code() -> None:
    def durations(values: Tensor) -> Tensor:
        lengths = torch.tensor([60, 50]), torch.tensor([20, 18])
        return monotonic_alignment(values * 2, *lengths, threads=1).durations + 1

    values = torch.randn(2, 60, 20)
    compiled = torch.compile(durations, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(values), durations(values))
    with pytest.raises(UserError, match="NaN"):
        compiled(values * torch.nan)


def test_a_search_does_not_import_the_compiler() -> None:
    code = """if True:
        import sys, torch
        from allophone.alignment import monotonic_alignment
        monotonic_alignment(torch.zeros(1, 6, 3), torch.tensor([6]), torch.tensor([3]))
        sys.exit("torch._dynamo" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_another_python_thread_runs_during_the_search() -> None:
    values = torch.zeros(1, 40_000, 400)
    lengths = torch.tensor([40_000]), torch.tensor([400])
    ticks: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.0002)

    def ticked_in_the_midst() -> bool:
        start = time.perf_counter()
        monotonic_alignment(values, *lengths, instruction_set="plain", threads=1)
        quarter = (time.perf_counter() - start) / 4
        return any(start + quarter < at < start + 3 * quarter for at in list(ticks))

    other = threading.Thread(target=tick)
    other.start()
    try:
        # On a busy machine the other thread may not get its turn, but with the GIL held it never does.
        assert any(ticked_in_the_midst() for _ in range(10))
    finally:
        done.set()
        other.join()


def test_the_best_instruction_set_is_the_default_and_plain_c_is_available() -> None:
    assert instruction_set() == instruction_sets()[0]
    assert instruction_sets()[-1] == "plain"
    with pytest.raises(UserError, match="does not support the instruction set 'avx3'"):
        monotonic_alignment(
            torch.zeros(1, 1, 1), torch.tensor([1]), torch.tensor([1]), instruction_set="avx3"
        )


def test_more_tokens_than_frames_name_the_rows() -> None:
    with pytest.raises(
        UserError, match=r"rows 1 \(2 frames, 3 tokens\), 3 \(0 frames, 1 tokens\);"
    ):
        monotonic_alignment(
            torch.zeros(4, 4, 3), torch.tensor([4, 2, 3, 0]), torch.tensor([3, 3, 3, 1])
        )


def test_a_long_list_of_rows_is_truncated() -> None:
    with pytest.raises(UserError, match=r"7 \(1 frames, 2 tokens\) and 12 more;"):
        monotonic_alignment(torch.zeros(20, 2, 2), torch.ones(20).long(), torch.full((20,), 2))


@pytest.mark.parametrize(
    ("frames", "tokens"), [(5, 2), (-1, 0), (4, 4), (4, -2), (2**62, 1), (4, 2**62)]
)
def test_lengths_out_of_range_name_the_row(frames: int, tokens: int) -> None:
    with pytest.raises(UserError, match=r"row 1 .* values have 4 frames and 3 tokens"):
        monotonic_alignment(
            torch.zeros(2, 4, 3), torch.tensor([4, frames]), torch.tensor([3, tokens])
        )


@pytest.mark.parametrize("name", instruction_sets())
@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
@pytest.mark.parametrize("token", [0, 1, 15, 16, 36])
def test_nan_and_infinity_name_the_row(name: str, poison: float, token: int) -> None:
    values = torch.zeros(3, 60, 37)
    values[1, token + 5, token] = poison
    with pytest.raises(UserError, match=r"NaN or \+inf .* row 1 \(60 frames, 37 tokens\)"):
        monotonic_alignment(
            values, torch.full((3,), 60), torch.full((3,), 37), instruction_set=name
        )


@pytest.mark.parametrize("name", instruction_sets())
def test_a_sum_that_overflows_names_the_row(name: str) -> None:
    values = torch.full((3, 4, 2), 8e37)
    values[2] = 1e38
    with pytest.raises(UserError, match=r"their sums, in batch row 2 "):
        monotonic_alignment(values, torch.full((3,), 4), torch.full((3,), 2), instruction_set=name)


def test_a_nan_is_found_on_any_thread() -> None:
    values, frame_lengths, token_lengths = large_batch()
    values[[2, 11], 400, 100] = torch.nan
    with pytest.raises(UserError, match=r"rows 2 \(\d+ frames, \d+ tokens\), 11 \("):
        monotonic_alignment(values, frame_lengths, token_lengths, threads=2)


GOOD: dict[str, Any] = {
    "values": torch.zeros(2, 4, 3),
    "frame_lengths": torch.tensor([4, 4]),
    "token_lengths": torch.tensor([3, 3]),
}


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("values", GOOD["values"].double(), "torch.float64"),
        ("values", GOOD["values"][0], r"\[4, 3\]"),
        ("values", GOOD["values"].to("meta"), "on the CPU or a CUDA GPU, not on meta"),
        ("values", torch.zeros(2, 3, 4).mT, "contiguous"),
        ("values", GOOD["values"].numpy(), "not ndarray"),
        ("values", torch.zeros(3, 4, 3), "3 utterances"),
        ("frame_lengths", torch.tensor([4, 4], dtype=torch.int32), "torch.int32"),
        ("frame_lengths", torch.tensor([4]), "frame_lengths 1"),
        ("frame_lengths", GOOD["frame_lengths"].to("meta"), "device of values, cpu, not on meta"),
        ("token_lengths", torch.tensor([[3, 3]]), r"\[1, 2\]"),
        ("token_lengths", torch.tensor([3, 3, 3]), "token_lengths 3"),
        ("threads", 0, "at least 1"),
    ],
)
def test_wrong_arguments_are_named(name: str, bad: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        monotonic_alignment(**{**GOOD, name: bad})
    assert name in caught.value.message


def test_a_missing_extension_is_reported_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "allophone.alignment._search", None)
    search._extension.cache_clear()
    with pytest.raises(UserError, match="C compiler"):
        monotonic_alignment(**GOOD)
