"""Importers of other implementations of FastSpeech 2: one module per project, on top of `reference`."""
