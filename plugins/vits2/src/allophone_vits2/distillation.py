"""Distillation of VITS2 voices: that of VITS, with the model of VITS2."""

from __future__ import annotations

from allophone_vits.distillation.objective import DistillObjective
from allophone_vits.distillation.student import StudentForward
from allophone_vits2.model import Vits2


class StudentVits2(StudentForward, Vits2):  # type: ignore[misc]
    """VITS2 as a student."""


class Vits2DistillObjective(DistillObjective):
    """Trains parts of a VITS2 voice; see `allophone_vits.distillation.objective`."""

    student = StudentVits2
