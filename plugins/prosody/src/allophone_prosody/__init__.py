"""F0 and energy for Allophone: hooks in `hooks`, configuration in `config`, one extractor per module."""
