"""What a machine can hold: modules that cannot fit are refused while they are being built.

A layer too many costs nothing in a configuration, and a number with six zeros more fills the memory of a
machine before anybody reads the first message.
"""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy

from allophone.errors import ConfigError

_TENSORS = 20_000
"""Parameter tensors of a model: each is a Python object, whatever its size. A large model has some thousand."""

_COPIES = 4
"""Of each trained weight in memory: the weight, its gradient and the two moments of Adam."""

_CANNOT_ALLOCATE = re.compile(
    "allocate memory|enough memory|out of memory|size calculation overflow|integer multiplication overflow"
)
"""How PyTorch says that a tensor is larger than anything can hold."""

_HINT = "Lower what decides its size in [model], [vocoder] or [trainer]: layers, channels, heads."


def memory_of(device: torch.device) -> int:
    """Bytes that a device can give to a model, which is built on the CPU: the smaller of the two memories."""
    free = _available_memory()
    if device.type != "cuda":
        return free
    return min(free, torch.cuda.get_device_properties(device).total_memory)


@contextmanager
def limited(device: torch.device) -> Iterator[None]:
    """Stop with a ConfigError where modules are built, inside, that cannot be trained on a device.

    Stops early, with weights and gradients alone; `check_fits` is exact, once all is there.
    """
    limit = memory_of(device)
    live = {"bytes": 0, "tensors": 0}

    def count(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        if is_lazy(parameter):
            return
        size = parameter.numel() * parameter.element_size()
        live["bytes"] += size
        live["tensors"] += 1
        # What takes the place of another, such as a weight under weight norm, lets go of it.
        weakref.finalize(parameter, forget, size)
        if live["tensors"] > _TENSORS:
            raise ConfigError(
                f"The model has more than {_TENSORS:,} parameter tensors.", hint=_HINT
            )
        if live["bytes"] * 2 > limit:
            raise _too_large(live["bytes"], live["bytes"] * 2, limit, at_least="more than ")

    def forget(size: int) -> None:
        live["bytes"] -= size
        live["tensors"] -= 1

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and not _CANNOT_ALLOCATE.search(str(error)):
            raise
        raise ConfigError(
            f"The model is larger than the memory of this machine ({_shown(limit)} are free).",
            hint=_HINT,
        ) from error
    finally:
        handle.remove()


def check_fits(modules: Iterable[nn.Module], device: torch.device) -> None:
    """Raise ConfigError for modules whose weights, gradients and moments of Adam exceed a device's memory."""
    parameters = {id(p): p for module in modules for p in module.parameters() if not is_lazy(p)}
    sizes = [(p.numel() * p.element_size(), p.requires_grad) for p in parameters.values()]
    weights = sum(size for size, _ in sizes)
    needed = sum(size * (_COPIES if trained else 1) for size, trained in sizes)
    # The weights are in the CPU's memory by now, and no longer part of what is free.
    limit = memory_of(device) + (weights if device.type != "cuda" else 0)
    if needed > limit:
        raise _too_large(weights, needed, limit)


def _too_large(weights: int, needed: int, limit: int, at_least: str = "") -> ConfigError:
    return ConfigError(
        f"The model's weights take {at_least}{_shown(weights)}, and training them at least "
        f"{_shown(needed)}; there are {_shown(limit)}.",
        hint=_HINT,
    )


def _shown(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.1f} MiB"


def _available_memory() -> int:
    """Bytes of the CPU's memory that are free, or can be freed, within the limits of a container."""
    sizes = []
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        sizes += [int(found[1]) * 1024] if found else []
    except OSError:
        pass
    for control in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            said = Path("/sys/fs/cgroup", control).read_text().strip()
        except OSError:
            continue
        sizes += [int(said)] if said.isdecimal() else []
    if not sizes:
        sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    return min(sizes)
