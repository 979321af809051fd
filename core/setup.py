"""Builds the one part of the core that is compiled; pyproject.toml says all the rest."""

from setuptools import setup

setup(
    cffi_modules=["src/allophone/alignment/build_extension.py:ffibuilder"],
    # Without this the wheel would be tagged for one Python version, though its module fits them all.
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
