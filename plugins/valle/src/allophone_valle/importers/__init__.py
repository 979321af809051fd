"""Importers of other implementations of VALL-E: one module per format, on top of `checkpoint`."""
