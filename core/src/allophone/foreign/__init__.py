"""Helpers for importers: reading other projects' files and converting their state dicts."""
