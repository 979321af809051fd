"""Toy sources, and a metric of which the values are known.

N samples.
"""

from __future__ import annotations

import numpy as np

from allophone.entries import MetricEntry, Score
from allophone.errors import UserError
from allophone.metrics.protocol import MetricContext
from allophone.registry import default_registry
from allophone.synthesis.requests import Request
from allophone_evaluate.evaluation import evaluate
from allophone_evaluate.items import Item
from allophone_evaluate.opening import Available, OpenMetric, open_metrics
from allophone_evaluate.report import make_report
from allophone_evaluate.settings import AUDIO
from allophone_evaluate.sources import Speech

RATE = 8000


class Tone:
    """Speaks a tone of 0.1 seconds a letter, and cannot speak some texts."""

    measures_time = True

    def __init__(self, name, *, seconds=0.1, cannot=()):
        self.name = name
        self.seconds = seconds
        self.cannot = cannot

    def speak(self, request):
        if request.id in self.cannot:
            raise UserError(f"'{request.id}' has a symbol that is unknown.")
        samples = 0.5 * np.sin(np.arange(int(len(request.text) * self.seconds * RATE)) / 3)
        return Speech(
            samples=samples.astype(np.float32),
            sample_rate=RATE,
            language="en",
            synthesis_seconds=0.01 * len(request.text),
            first_audio_seconds=0.005,
        )


class Mood:
    """The metric "mood", in which some utterances fail or have no score."""

    def score(self, speech):
        return [{"mood": self._mood(one)} for one in speech]

    def _mood(self, one):
        if one.text == "angry":
            raise OSError("no such mood")
        return float("nan") if one.text == "asleep" else float(len(one.text))


MOOD = OpenMetric(
    entry=MetricEntry(
        name="mel-distance",  # an installed name, so that failures can be described
        summary="-",
        config="a:B",
        metric="a:C",
        scores=(Score(name="mood", better="higher"),),
        needs_text=True,
    ),
    metric=Mood(),
    options={},
)


def items(*texts):
    return [Item(request=Request(id=f"u{number}", text=text)) for number, text in enumerate(texts)]


def opened(*names, references=False):
    metrics, _ = open_metrics(
        names,
        {},
        available=Available(references=references, texts=True, times=True),
        context=MetricContext(audio=AUDIO),
        registry=default_registry(),
    )
    return metrics


def evaluated(sources, given, metrics, folder):
    return evaluate(sources, given, metrics, audio=folder, registry=default_registry())


def report_of(evaluation, metrics):
    return make_report(
        evaluation,
        metrics,
        left_out={"mos": "not <installed>."},
        settings={"device": "cpu"},
        resamples=200,
        seed=0,
    )
