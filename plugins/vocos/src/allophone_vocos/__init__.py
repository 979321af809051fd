"""Vocos: waveforms from frames by ConvNeXt blocks and an inverse STFT (Siuzdak 2023)."""
