"""Counts of what was asked of this server."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
# Whoever makes up a method is not given a time series of its own.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestMetrics:
    """In the registry of one application."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "gift_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._latency = Histogram(
            "gift_http_request_seconds",
            "Time to answer a request, streams of events left out.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.streams = Gauge("gift_event_streams", "Streams of events that are open.", registry=registry)

    def count(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """`seconds` is None for what has no latency."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, status).inc()
        if seconds is not None:
            self._latency.labels(known, route).observe(seconds)
