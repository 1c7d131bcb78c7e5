"""Figures for Prometheus: https://prometheus.io/docs/practices/naming/"""

from __future__ import annotations

import time
from collections import Counter as Counted
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from reindex.errors import ReindexError
from reindex.project import Project
from reindex.registry.canaries import Canaries
from reindex.registry.control import Control
from reindex.registry.jobs import JobBook
from reindex.server.probe import StoreProbe

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds; the bars of this server are 5 ms and 20 ms."""


class Metrics:
    """What one server counts. A registry of its own, so that several can live in a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "reindex_request_seconds", "Requests by route and status.",
            ["route", "status"], buckets=BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.stages = Histogram(
            "reindex_stage_seconds", "Stages of a search: encode, search.",
            ["stage"], buckets=BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.answers = Counter(
            "reindex_answers", "Answered queries by version and side.",
            ["version", "side"], registry=self.registry,
        )  # fmt: skip
        self.empty = Counter(
            "reindex_empty_answers", "Answers without a hit, by version.",
            ["version"], registry=self.registry,
        )  # fmt: skip
        self.written = Counter(
            "reindex_written_documents", "Documents written or deleted, by kind.",
            ["kind"], registry=self.registry,
        )  # fmt: skip

    def follow(self, project: Project, probe: StoreProbe) -> None:
        """Tell of the project too, as it is when somebody asks."""
        self.registry.register(_State(project, probe))

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count the time of the block for ``stage``."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.stages.labels(stage).observe(time.perf_counter() - began)

    def text(self) -> bytes:
        """All figures, in Prometheus' format."""
        return generate_latest(self.registry)


class _State(Collector):
    """What the registry says, read at every scrape: microseconds of SQLite."""

    def __init__(self, project: Project, probe: StoreProbe) -> None:
        self._project, self._probe = project, probe

    def describe(self) -> list[Metric]:
        """Nothing is fixed, so that registering reads nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        project = self._project
        live = GaugeMetricFamily(
            "reindex_live", "1 for the version that is live.", labels=["version"]
        )
        answers = GaugeMetricFamily("reindex_store_up", "1 where the store answers.")
        try:
            collection = self._probe.live_collection()
            answers.add_metric([], 1)
        except ReindexError:
            collection = None
            answers.add_metric([], 0)
        built = project.registry.collection(collection) if collection else None
        if built is not None:
            live.add_metric([built.version], 1)
        yield live
        yield answers
        points = GaugeMetricFamily(
            "reindex_collection_points", "Points at the end of the last build.",
            labels=["collection", "version"],
        )  # fmt: skip
        for built in project.registry.all_collections():
            points.add_metric([built.name, built.version], built.points)
        yield points
        weight = GaugeMetricFamily(
            "reindex_canary_weight", "Share of the keys on the canary's side.", labels=["version"]
        )
        canary = Canaries(project.registry).running(project.settings.alias)
        if canary is not None:
            weight.add_metric([canary.version], canary.weight)
        yield weight
        yield from self._runs()
        yield self._jobs()

    def _jobs(self) -> Metric:
        jobs = GaugeMetricFamily(
            "reindex_jobs", "Jobs asked for over HTTP that wait or run.", labels=["kind", "state"]
        )
        found = Counted((job.kind, job.state) for job in JobBook(self._project.registry).open())
        for labels, count in found.items():
            jobs.add_metric(labels, count)
        return jobs

    def _runs(self) -> Iterator[Metric]:
        done = GaugeMetricFamily(
            "reindex_run_done", "How far a run is.", labels=["kind", "version"]
        )
        total = GaugeMetricFamily(
            "reindex_run_total", "How far it goes.", labels=["kind", "version"]
        )
        for run in Control(self._project.registry).running():
            labels = [run.kind, run.version or ""]
            done.add_metric(labels, run.done)
            if run.total is not None:
                total.add_metric(labels, run.total)
        yield done
        yield total
