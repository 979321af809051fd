"""Distillation: a small decoder learns to speak as the decoder of a trained voice does."""
