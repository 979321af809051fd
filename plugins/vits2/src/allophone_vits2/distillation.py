"""Distillation of VITS2 voices: that of VITS, with the model of VITS2."""

from __future__ import annotations

from allophone_vits.distillation.objective import DecodesLatents, DistillObjective
from allophone_vits2.model import Vits2


class StudentVits2(DecodesLatents, Vits2):  # type: ignore[misc]
    """VITS2 of which only the decoder learns."""


class Vits2DistillObjective(DistillObjective):
    """Trains the decoder of a VITS2 voice; see `allophone_vits.distillation.objective`."""

    student = StudentVits2
