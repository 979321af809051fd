"""Phonemes by eSpeak NG and phonemizer, for Allophone: hooks in `hooks`, configuration in `config`."""
