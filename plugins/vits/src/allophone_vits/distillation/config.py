"""Configuration of distillation: the tables `[trainer]` and `[features.latents]`. Imports no torch."""

from __future__ import annotations

from attrs import frozen

from allophone_vocos.config import VocosTrainerConfig


@frozen(kw_only=True)
class LatentsConfig:
    """The latents that a teacher's decoder was given, as `allophone distill` writes them.

    directory: folder with a file `<id>.npy`, [F, C], for each utterance.
    """

    directory: str = "teacher/latents"


@frozen(kw_only=True)
class DistillTrainerConfig(VocosTrainerConfig):
    """Training of a decoder to speak as its teacher's does, `type = "vits.distill"`."""
