"""What Prometheus is told: the state of the jobs, the store and the disk, read when it asks, and counts of requests."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter as Tally
from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.request_metrics import RequestMetrics
from workers.counts import Counts
from workers.records import JobKind, JobState
from workers.studio import Studio

CONTENT_TYPE = CONTENT_TYPE_LATEST
_MINUTE = 60
_DURATIONS = (1, 5, 15, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 72 * 3600)


class Monitoring:
    """The metrics of one application; nothing is shared with another one in the same process."""

    def __init__(self, studio: Studio) -> None:
        self._registry = CollectorRegistry()
        self.requests = RequestMetrics(self._registry)
        self._ends = _Ends(studio.counts, self._registry)
        self._registry.register(_StudioCollector(studio))

    def scrape(self) -> bytes:
        """In Prometheus' text format. What attempts ended in is counted from the start of this process on."""
        self._ends.catch_up()
        return generate_latest(self._registry)


class _Ends:
    """Ends of attempts, whichever process they ran under: they are read from the store, each once."""

    def __init__(self, counts: Counts, registry: CollectorRegistry) -> None:
        self._counts = counts
        self._lock = threading.Lock()
        self._seen = counts.newest_transition()
        self._ended = Counter("gift_attempts_ended", "Ends of attempts.", ["kind", "state"], registry=registry)
        self._failed = Counter("gift_job_failures", "Failures by their cause.", ["kind", "cause"], registry=registry)
        self._seconds = Histogram(
            "gift_attempt_seconds",
            "From when a worker took a job to the end of that attempt.",
            ["kind"],
            buckets=_DURATIONS,
            registry=registry,
        )

    def catch_up(self) -> None:
        with self._lock:
            ended, self._seen = self._counts.ended_since(self._seen)
        for end in ended:
            self._ended.labels(end.kind, end.state.value).inc()
            if end.cause:
                self._failed.labels(end.kind, end.cause).inc()
            if end.seconds is not None:
                self._seconds.labels(end.kind).observe(end.seconds)


class _StudioCollector(Collector):
    """How things are at the moment of asking."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering then does not have to read the store."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        yield from self._jobs()
        yield self._devices()
        yield from self._sizes()

    def _jobs(self) -> Iterator[Metric]:
        counted = self._studio.counts.jobs()
        jobs = GaugeMetricFamily("gift_jobs", "Jobs in the store.", labels=["kind", "state"])
        waiting = Tally[str]()
        for kind in JobKind:
            for state in JobState:
                jobs.add_metric([kind.value, state.value], counted.get((kind.value, state.value), 0))
            waiting[kind.value] = counted.get((kind.value, JobState.QUEUED.value), 0)
        yield jobs
        yield _gauge("gift_queue_length", "Jobs that wait.", waiting.total())
        oldest = self._studio.counts.longest_wait()
        wait = 0.0 if oldest is None else max(0.0, time.time() - oldest)
        yield _gauge("gift_queue_oldest_wait_seconds", "Age of the oldest job that was never taken.", wait)
        yield _gauge("gift_queue_paused", "Whether no worker takes anything.", int(self._studio.store.paused))

    def _devices(self) -> Metric:
        devices = GaugeMetricFamily("gift_devices", "Devices of the workers.", labels=["host", "kind", "state"])
        for count in self._studio.counts.devices():
            devices.add_metric([count.host, count.kind, "busy"], count.busy)
            devices.add_metric([count.host, count.kind, "free"], count.total - count.busy)
        return devices

    def _sizes(self) -> Iterator[Metric]:
        counts = self._studio.counts
        yield _gauge("gift_metric_points", "Metric points stored so far.", counts.newest_point())
        yield _gauge("gift_store_bytes", "Size of the database.", counts.store_bytes())
        files = GaugeMetricFamily("gift_files_bytes", "Files in the data folder, as last measured.", labels=["folder"])
        for folder, size in self._studio.sizes.last.items():
            files.add_metric([folder], size)
        yield files
        yield _gauge(
            "gift_disk_free_bytes", "Room where the data folder is.", shutil.disk_usage(self._studio.data).free
        )


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)
