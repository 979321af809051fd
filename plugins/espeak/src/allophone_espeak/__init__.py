"""Phonemizers for Allophone, based on eSpeak NG and the package phonemizer: hooks in `hooks`, configuration in `config`."""
