"""The entries of this plugin. Light: does not import torch."""

from __future__ import annotations

CONTRACT = 1
