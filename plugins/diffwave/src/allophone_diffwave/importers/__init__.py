"""Importers of other projects' checkpoints, one format per module."""
