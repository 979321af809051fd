"""Importers of other implementations of VITS2."""
