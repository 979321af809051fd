"""Importers of other implementations' checkpoints, one format per module; `checkpoint` has shared code."""
