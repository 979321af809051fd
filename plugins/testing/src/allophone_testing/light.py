"""Which heavy packages something drags in, found out in a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable

HEAVY = ("cattrs", "librosa", "numpy", "scipy", "torch", "torchaudio")
"""What must not be imported to list plugins: each of them costs between a tenth of a second and several."""


def heavy_imports(code: str, heavy: Iterable[str] = HEAVY) -> dict[str, tuple[str, ...]]:
    """Run Python code in an interpreter of its own: which of the packages it imported, each with a reason.

    The reason is the chain of the program's own modules that were being imported at that moment, from
    the outermost to the one that imported the heavy package. The code may end in SystemExit.
    Raises RuntimeError with what the interpreter said when the code fails.
    """
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED.format(heavy=sorted(heavy), code=code)],
        capture_output=True,
        text=True,
        check=False,
    )
    marked = [line for line in done.stderr.splitlines() if line.startswith(_MARK)]
    if not marked:
        raise RuntimeError(f"This code does not run:\n{code}\n{done.stderr}")
    found = json.loads(marked[-1].removeprefix(_MARK))
    return {name: tuple(chain) for name, chain in found.items()}


_MARK = "heavy imports: "

_WATCHED = """
import builtins, json, sys

heavy, found, real_import = set({heavy!r}), {{}}, builtins.__import__


def watched_import(name, globals=None, locals=None, fromlist=(), level=0):
    package = name.partition(".")[0]
    if level == 0 and package in heavy and package not in found:
        chain, frame = [], sys._getframe(1)
        while frame is not None:
            module = frame.f_globals.get("__name__", "")
            if "importlib" not in module and module not in ("__main__", *chain[-1:]):
                chain.append(module)
            frame = frame.f_back
        found[package] = chain[::-1]
    return real_import(name, globals, locals, fromlist, level)


builtins.__import__ = watched_import
try:
    exec({code!r}, {{"__name__": "__main__"}})
except SystemExit:
    pass
for package in heavy & set(sys.modules):
    found.setdefault(package, [])
found = {{package: chain for package, chain in found.items() if package in sys.modules}}
print("\\nheavy imports: " + json.dumps(found), file=sys.stderr)
"""
