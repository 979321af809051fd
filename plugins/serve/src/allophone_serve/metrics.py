"""What a server tells Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from allophone_serve.scheduler import Job, Scheduler

_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
_FACTORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5)


class Metrics:
    """Counters of one server."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "allophone_requests",
            "Requests for speech, by the way in and the outcome.",
            ("way", "outcome"),
            registry=self._registry,
        )
        self._audio = Counter(
            "allophone_audio_seconds", "Seconds of speech.", registry=self._registry
        )
        self._first = Histogram(
            "allophone_first_audio_seconds",
            "Seconds from a request to its first audio.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._factor = Histogram(
            "allophone_real_time_factor",
            "Seconds of synthesis per second of speech, by request.",
            buckets=_FACTORS,
            registry=self._registry,
        )
        for name, summary, count in (
            ("allophone_places", "Places for requests.", lambda: scheduler.places),
            ("allophone_places_taken", "Requests that have a place.", scheduler.taken_places),
            ("allophone_waiting", "Requests without audio so far.", scheduler.waiting),
        ):
            Gauge(name, summary, registry=self._registry).set_function(count)

    def count(self, way: str, outcome: str, job: Job | None = None) -> None:
        """Count a request: outcome is "done", "refused", "failed", "timeout" or "left" (the client)."""
        self._requests.labels(way, outcome).inc()
        if job is None or job.started is None:
            return
        self._audio.inc(job.seconds)
        self._first.observe(job.started - job.arrival)
        self._factor.observe(job.busy / job.seconds)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self._registry)
