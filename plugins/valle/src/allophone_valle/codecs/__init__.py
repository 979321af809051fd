"""Codecs: waveforms as a few sequences of small whole numbers, and back."""
