"""Rewriting the graphs of a VITS voice so that they compute the same in less time."""
