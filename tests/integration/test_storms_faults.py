"""Single writes over a network that breaks and to a server that dies, while versions change."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from reindex.config import load_settings
from reindex.errors import ReindexError
from reindex.indexing import Indexer
from reindex.indexing.apply import replay
from reindex.stages.building import build
from tests.fault_proxy import Dice, Exchange, Fault, FaultProxy, Gone, Plan
from tests.hash_project import HashWorkspace
from tests.integration.test_faults import QUICK
from tests.qdrant_server import QdrantProcess
from tests.server_project import (
    TEXTS,
    direct,
    hurried_store,
    promoted,
    returned,
    server_project,
    until_done,
)
from tests.storm import Oracle, ThroughIndexer, attempts_in, base_of, storm

patiently = partial(until_done, tries=300, pause=0.1)
"""A server that was killed takes seconds to start again."""


class Thread(threading.Thread):
    """A writer with a workspace of its own; keeps what it must not have met."""

    def __init__(self, folder: Path, url: str, seed: int) -> None:
        super().__init__()
        self.log, self.stop = folder / f"thread-{seed}.log", threading.Event()
        self.error: BaseException | None = None
        self._folder, self._url, self._seed = folder, url, seed

    @property
    def acknowledged(self) -> int:
        return sum(one.acked is not None for one in attempts_in(self.log))

    def run(self) -> None:
        try:
            with HashWorkspace(load_settings(self._folder)) as workspace:
                workspace.__dict__["store"] = patiently(partial(impatient, self._url), [])
                writes = ThroughIndexer(Indexer(workspace), self._seed)
                storm(writes, self.log, self._seed, 0.01, self.stop)
        except BaseException as error:
            self.error = error


def impatient(url: str) -> object:
    return hurried_store(url, attempts=3, timeout=60)


@contextmanager
def writing(threads: list[Thread]) -> Iterator[None]:
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.stop.set()
        for thread in threads:
            thread.join()


class DiceAndDeaths(Plan):
    """Faults at random, and the server killed and started again after every so many requests."""

    def __init__(self, faults: list[Fault], server: QdrantProcess, every: int) -> None:
        self._dice, self._server, self._every = Dice(faults, share=0.05, seed=13), server, every
        self._restarting, self._requests = threading.Lock(), 0
        self.deaths = 0

    def fault_of(self, line: str) -> Fault | None:
        if self._restarting.locked():
            return None  # nobody is there; counted, these would bring the next death at once
        self._requests += 1
        return self._die if self._requests % self._every == 0 else self._dice.fault_of(line)

    def _die(self, exchange: Exchange) -> None:
        with self._restarting:
            exchange.connect().send(exchange.request)
            self._server.restart()
            self.deaths += 1
        raise Gone


@pytest.mark.slow
@pytest.mark.parametrize("enough", [40, 600])
def test_acknowledged_writes_outlive_a_broken_network_and_a_dying_server(
    tmp_path: Path, enough: int
) -> None:
    folder, errors = tmp_path / "project", list[ReindexError]()
    with (
        QdrantProcess(tmp_path) as server,
        FaultProxy(server.port) as proxy,
        server_project(folder, proxy.url, TEXTS[:60]) as project,
    ):
        project.__dict__["store"] = impatient(proxy.url)
        build(project, "v1")
        promoted(project, "v1")
        oracle = Oracle(base_of(project, "v1"))
        plan = DiceAndDeaths(QUICK, server, every=1500)
        threads = [Thread(folder, proxy.url, seed) for seed in (1, 2)]
        proxy.plan = plan
        with writing(threads):
            while sum(one.acknowledged for one in threads) < enough or not plan.deaths:
                patiently(partial(build, project, "v2"), errors)
                patiently(partial(promoted, project, "v2"), errors)
                patiently(partial(returned, project, "v1"), errors)
        assert [thread.error for thread in threads] == [None, None]
        proxy.plan = Plan()
        oracle.heard([thread.log for thread in threads])
        with direct(server.url) as store:
            project.__dict__["store"] = store
            replay(project)
            oracle.check(project, "v1")
            build(project, "v2")
            oracle.check(project, "v2")
