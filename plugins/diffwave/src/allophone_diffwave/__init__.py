"""DiffWave, for Allophone: hooks in `hooks`, configuration in `config`, the network in `network`."""
