"""What this plugin offers. Light: nothing here imports torch."""

from __future__ import annotations
