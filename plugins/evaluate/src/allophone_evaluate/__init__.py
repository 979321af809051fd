"""Evaluation of synthesized speech: metrics, and the command `allophone evaluate`."""
