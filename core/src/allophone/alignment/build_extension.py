"""Describes the C extension `allophone.alignment._search` to cffi; core/setup.py builds it.

In a checkout `pip install -e core` builds it anew after a change of the C sources.
"""

from pathlib import Path

from cffi import FFI

# Relative to setup.py, as setuptools wants its sources.
FOLDER = "src/allophone/alignment"
HEADERS = ["search.h", "utterance.h", "instruction_sets.h"]

header = (Path(__file__).parent / "search.h").read_text(encoding="utf-8")
declarations = "\n".join(line for line in header.splitlines() if not line.startswith("#"))

ffibuilder = FFI()
ffibuilder.cdef(declarations)
ffibuilder.set_source(
    "allophone.alignment._search",
    '#include "search.h"',
    sources=[f"{FOLDER}/search.c"],
    depends=[f"{FOLDER}/{name}" for name in HEADERS],
    include_dirs=[FOLDER],
    extra_compile_args=["-O3", "-Wall", "-Wextra"],
    extra_link_args=["-pthread"],
)
