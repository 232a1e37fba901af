"""What Prometheus can read: counts, durations and loads, without anything of what was asked."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = ["CONTENT_TYPE", "FOLDER_VARIABLE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of `Metrics.render`."""

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder in which several workers add up; prometheus_client reads it when it is imported."""

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_INPUTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The metrics of one worker. Safe to use from several threads."""

    def __init__(self) -> None:
        """Register every metric."""
        self._registry = CollectorRegistry()
        registry = self._registry
        self._requests = Counter(
            "osmm_requests", "Answered requests.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "osmm_request_seconds", "Time to the answer.", ["route"], buckets=_SECONDS, registry=registry
        )
        self._stages = Histogram(
            "osmm_stage_seconds",
            "Time in each stage; queue is the wait for a thread.",
            ["route", "stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._inputs = Histogram(
            "osmm_encode_inputs", "Inputs per encode call.", ["task"], buckets=_INPUTS, registry=registry
        )
        self._open = Gauge(
            "osmm_requests_in_flight", "Calls at present.", multiprocess_mode="livesum", registry=registry
        )
        self._running = Gauge(
            "osmm_lane_running", "Calls at work.", ["lane"], multiprocess_mode="livesum", registry=registry
        )
        self._waiting = Gauge(
            "osmm_lane_waiting", "Calls that wait.", ["lane"], multiprocess_mode="livesum", registry=registry
        )
        self._rejected = Counter(
            "osmm_rejected", "Calls refused because too many were there.", ["lane"], registry=registry
        )
        self._errors = Counter(
            "osmm_errors", "Calls answered with an error.", ["route", "type"], registry=registry
        )
        self._failed_inputs = Counter(
            "osmm_failed_inputs", "Inputs of encode calls that failed alone.", ["type"], registry=registry
        )
        self._degraded = Counter("osmm_degraded", "Searches answered by BM25 alone.", registry=registry)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def stages(self, route: str, timings_ms: dict[str, float]) -> None:
        """Record how long each stage took."""
        for stage, milliseconds in timings_ms.items():
            if stage != "total":
                self._stages.labels(route, stage).observe(milliseconds / 1000)

    def encoding(self, task: str, inputs: int) -> None:
        """Record the size of an encode call."""
        self._inputs.labels(task).observe(inputs)

    def opened(self, change: int) -> None:
        """Count a call in (1) or out (−1)."""
        self._open.inc(change)

    def running(self, lane: str, change: int) -> None:
        """Count a call that begins (1) or ends (−1) to work."""
        self._running.labels(lane).inc(change)

    def waiting(self, lane: str, change: int) -> None:
        """Count a call that begins (1) or ends (−1) to wait."""
        self._waiting.labels(lane).inc(change)

    def rejected(self, lane: str) -> None:
        """Count a call that was one too many."""
        self._rejected.labels(lane).inc()

    def error(self, route: str, kind: str) -> None:
        """Count an error."""
        self._errors.labels(route, kind).inc()

    def failed_input(self, kind: str) -> None:
        """Count an input that failed alone."""
        self._failed_inputs.labels(kind).inc()

    def degraded(self) -> None:
        """Count a search that BM25 alone answered."""
        self._degraded.inc()

    def render(self) -> bytes:
        """Return all metrics, those of the other workers added, in Prometheus' text format."""
        if FOLDER_VARIABLE not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
