"""The alignment search on a GPU against the one in C: in Triton's interpreter, and compiled where there is a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from allophone.alignment import monotonic_alignment
from allophone.errors import UserError

CASES = Path(__file__).with_name("gpu_search_cases.py")


def run_cases(device: str, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, CASES, device],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_the_interpreted_kernel_equals_the_search_in_c() -> None:
    pytest.importorskip("triton", reason="torch was installed without Triton")
    run_cases("cpu", TRITON_INTERPRET="1")


@pytest.mark.gpu
def test_the_kernel_equals_the_search_in_c() -> None:
    run_cases("cuda")


@pytest.mark.gpu
def test_tensors_on_a_gpu_are_searched_there_without_waiting() -> None:
    values = torch.randn(4, 60, 20)
    lengths = torch.tensor([60, 50, 40, 20]), torch.tensor([20, 18, 20, 20])
    expected = monotonic_alignment(values, *lengths)
    inputs = [one.cuda() for one in (values, *lengths)]
    monotonic_alignment(*inputs)  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = monotonic_alignment(*inputs)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(found.index.cpu(), expected.index)
    assert torch.equal(found.durations.cpu(), expected.durations)


@pytest.mark.gpu
def test_lengths_on_another_device_are_refused() -> None:
    with pytest.raises(UserError, match=r"on the device of values, cuda:0, not on cpu"):
        monotonic_alignment(torch.zeros(1, 2, 1).cuda(), torch.tensor([2]), torch.tensor([1]))


@pytest.mark.parametrize(("words", "strips"), [(2, False), (16, True)])
def test_the_kernel_compiles_for_gpus_without_one(words: int, strips: bool) -> None:
    pytest.importorskip("triton", reason="torch was installed without Triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    from allophone.alignment import gpu

    types = dict.fromkeys(("frame_lengths", "token_lengths", "index", "durations"), "*i64")
    types |= dict.fromkeys(("max_frames", "max_tokens", "words"), "i32")
    types |= {"values": "*fp32", "edges": "*fp32", "stepped": "*i32"}
    constants = {"STRIP_WORDS": words, "STRIPS": strips, "AHEAD": gpu.frames_ahead(words)}
    names = gpu.search_kernel.arg_names
    source = ASTSource(
        gpu.search_kernel,
        {name: types.get(name, "constexpr") for name in names},
        constexprs=constants,
    )
    compiled = compile(source, target=GPUTarget("cuda", 80, 32), options={"num_warps": 1})
    text = compiled.asm["ptx"]
    assert ".local" not in text  # The totals stay in registers.
    assert compiled.metadata.shared < 48 * 1024
