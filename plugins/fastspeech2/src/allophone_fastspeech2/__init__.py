"""FastSpeech 2 (Ren et al. 2021): a plugin of Allophone."""
