"""Importers of other implementations of VITS: one module per format, on top of `reference`."""
