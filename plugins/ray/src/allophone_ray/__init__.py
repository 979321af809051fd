"""Allophone's work on a Ray cluster."""
