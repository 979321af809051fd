"""FastSpeech 2 for Allophone: hooks in `hooks`, configuration in `config`, the model in `model`."""
