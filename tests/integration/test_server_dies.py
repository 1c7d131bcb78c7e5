"""A server that dies, asks to wait, or moves the alias and cannot say so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from reindex.errors import StoreError
from reindex.stages.building import build
from reindex.stages.promoting import promote, rollback
from reindex.stages.upkeep import status
from tests import fault_proxy as faults
from tests.fault_proxy import Exchange, Fault, FaultProxy, Gone, Plan, Rules
from tests.hash_project import HashWorkspace
from tests.integration.test_faults import FLIP, READ, UPSERT, port_of
from tests.qdrant_server import QdrantProcess, serving
from tests.server_project import TEXTS, check_contents, direct, hurried_store, server_project


@pytest.fixture
def process(tmp_path: Path) -> Iterator[QdrantProcess]:
    with QdrantProcess(tmp_path) as process:
        yield process


class TestDeath:
    """SIGKILL in the middle of a request of a build."""

    def test_a_server_that_comes_back_is_waited_for(
        self, process: QdrantProcess, tmp_path: Path
    ) -> None:
        def die(exchange: Exchange) -> None:
            exchange.connect().send(exchange.request)
            process.restart()
            raise Gone

        with (
            FaultProxy(process.port, Rules([(UPSERT, [5], die), (READ, [19], die)])) as proxy,
            server_project(tmp_path / "project", proxy.url) as project,
        ):
            project.__dict__["store"] = hurried_store(proxy.url, attempts=60, timeout=60)
            report = build(project, "v1")
            assert len(proxy.calls(faulty=True)) == 2
            assert (report.points, report.complete) == (len(TEXTS), True)
            with direct(process.url) as store:
                check_contents(project, store, "v1")

    def test_one_that_stays_away_ends_the_build_which_goes_on_later(
        self, process: QdrantProcess, tmp_path: Path
    ) -> None:
        def die(exchange: Exchange) -> None:
            process.kill()
            raise Gone

        with (
            FaultProxy(process.port, Rules([(UPSERT, [8], die)])) as proxy,
            server_project(tmp_path / "project", proxy.url) as project,
        ):
            project.__dict__["store"] = hurried_store(proxy.url, attempts=3)
            with pytest.raises(StoreError, match="collection 'docs--v1'"):
                build(project, "v1")
            done = project.embedded
            process.start()
            [run] = [run for run in project.registry.runs() if run.kind == "build"]
            assert run.state == "failed"
            report = build(project, "v1")
            assert report.complete
            assert report.unchanged >= 7 * 8
            assert report.embedded + report.cached == len(TEXTS) - report.unchanged
            assert project.embedded < done + len(TEXTS)
            with direct(process.url) as store:
                check_contents(project, store, "v1")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path / "qdrant.log") as url:
        yield url


@pytest.fixture
def proxy(server: str) -> Iterator[FaultProxy]:
    with FaultProxy(port_of(server)) as proxy:
        yield proxy


@pytest.fixture
def project(tmp_path: Path, proxy: FaultProxy) -> Iterator[HashWorkspace]:
    """With the pauses of the real thing."""
    with server_project(tmp_path / "project", proxy.url, attempts=3) as workspace:
        yield workspace


def date_in(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def busy_until(moment: str) -> Fault:
    return faults.status(503, "Service Unavailable", **{"Retry-After": moment})


@pytest.mark.parametrize(
    "refusal",
    [
        lambda: faults.limited("1"),
        lambda: faults.limited(date_in(3)),
        lambda: busy_until("1"),
        lambda: busy_until(date_in(3)),
    ],
    ids=["429 in seconds", "429 by date", "503 in seconds", "503 by date"],
)
def test_the_server_s_wish_is_honoured(
    project: HashWorkspace, proxy: FaultProxy, refusal: Any
) -> None:
    _ = project.store
    proxy.plan = Rules([(UPSERT, [2], refusal())])
    build(project, "v1")
    calls = proxy.calls(UPSERT)
    assert calls[1].fault
    assert calls[2].at - calls[1].at >= 1
    assert len(calls) == len(TEXTS) / 8 + 1


def test_a_wish_that_nobody_understands_is_a_pause_like_any_other(
    project: HashWorkspace, proxy: FaultProxy
) -> None:
    proxy.plan = Rules([(UPSERT, [2], faults.limited("later"))])
    assert build(project, "v1").complete
    assert len(proxy.calls(UPSERT)) == len(TEXTS) / 8 + 1


class TestFlips:
    """The alias moved, or did not, and nobody said so."""

    @pytest.fixture
    def ready(self, tmp_path: Path, proxy: FaultProxy) -> Iterator[HashWorkspace]:
        with server_project(tmp_path / "project", proxy.url, TEXTS[:10]) as project:
            project.__dict__["store"] = patient = hurried_store(proxy.url, attempts=1, timeout=60)
            for version in ("v1", "v2"):
                build(project, version)
            promote(project, "v1")
            patient.close()
            project.__dict__["store"] = hurried_store(proxy.url, attempts=1, timeout=3)
            yield project

    def states(self, project: HashWorkspace) -> list[tuple[str, str]]:
        return [(item.version, item.state) for item in project.registry.promotions()]

    @pytest.mark.parametrize("fault", [faults.lose_answer, faults.cut_answer, faults.hang_after])
    def test_one_whose_answer_was_lost_is_done(
        self, ready: HashWorkspace, proxy: FaultProxy, fault: Fault
    ) -> None:
        proxy.plan = Rules([(FLIP, [1], fault)])
        done = promote(ready, "v2", force=True, reason="test").promotion
        assert done is not None
        assert done.state == "done"
        assert ready.live_collection() == "docs--v2"
        assert rollback(ready).to_collection == "docs--v1"
        assert self.states(ready) == [("v1", "done"), ("v2", "done"), ("v1", "done")]

    @pytest.mark.parametrize("fault", [faults.drop, faults.cut_request, faults.status(503)])
    def test_one_that_did_not_arrive_is_abandoned(
        self, ready: HashWorkspace, proxy: FaultProxy, fault: Fault
    ) -> None:
        proxy.plan = Rules([(FLIP, [1], fault)])
        with pytest.raises(StoreError, match="docs--v2"):
            promote(ready, "v2", force=True, reason="test")
        assert ready.live_collection() == "docs--v1"
        assert self.states(ready) == [("v2", "abandoned"), ("v1", "done")]
        promote(ready, "v2", force=True, reason="test")
        assert ready.live_collection() == "docs--v2"

    @pytest.mark.parametrize(
        ("fault", "state"), [(faults.lose_answer, "done"), (faults.drop, "abandoned")]
    )
    def test_one_that_nobody_could_ask_about_is_settled_when_somebody_can(
        self, ready: HashWorkspace, proxy: FaultProxy, fault: Fault, state: str
    ) -> None:
        """Also within the process that tried, which lives on."""
        proxy.plan = silent = Silence(fault)
        with pytest.raises(StoreError):
            promote(ready, "v2", force=True, reason="test")
        assert self.states(ready)[0] == ("v2", "intent")
        assert silent.flips == 1
        proxy.plan = Plan()
        assert status(ready).differences == ()
        assert self.states(ready)[0] == ("v2", state)

    def test_one_that_arrives_late_is_noticed(
        self, ready: HashWorkspace, proxy: FaultProxy
    ) -> None:
        given_up, arrived = threading.Event(), threading.Event()

        def very_late(exchange: Exchange) -> None:
            given_up.wait(60)
            exchange.forward()
            arrived.set()

        proxy.plan = Rules([(FLIP, [1], very_late)])
        with pytest.raises(StoreError):
            promote(ready, "v2", force=True, reason="test")
        assert self.states(ready)[0] == ("v2", "abandoned")
        given_up.set()
        assert arrived.wait(60)
        [difference] = status(ready).differences
        assert "outside this registry" in difference


class Silence(Plan):
    """The flip meets a fault, and after it nothing gets through any more."""

    def __init__(self, fault: Fault) -> None:
        self._fault, self.flips = fault, 0

    def fault_of(self, line: str) -> Fault | None:
        if self.flips:
            return faults.drop
        if line == FLIP:
            self.flips += 1
            return self._fault
        return None
