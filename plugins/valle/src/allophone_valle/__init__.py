"""VALL-E for Allophone: hooks in `hooks`, configuration in `config`, the two networks in `ar` and `nar`."""
