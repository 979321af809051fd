"""cffi build script of the C extension `allophone.alignment._search`, run by core/setup.py.

In a checkout, run `pip install -e core` to rebuild it after changing the C sources.
"""

from pathlib import Path

from cffi import FFI

# setuptools needs source paths relative to setup.py.
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
