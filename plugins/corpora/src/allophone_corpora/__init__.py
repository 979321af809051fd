"""Readers of published corpora, for Allophone: hooks in `hooks`, configuration in `config`, one reader per module."""
