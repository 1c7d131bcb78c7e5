"""A faulty network between client and server: nothing lost, nothing doubled, always resumable."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from reindex.errors import ReindexError
from reindex.stages.upkeep import status
from tests import fault_proxy as faults
from tests.fault_proxy import Dice, Fault, FaultProxy, Rules
from tests.hash_project import HashWorkspace
from tests.qdrant_server import serving
from tests.server_project import (
    PROTOCOL,
    check_contents,
    direct,
    hurried_store,
    server_project,
    until_done,
)

QUICK: list[Fault] = [
    faults.drop,
    faults.lose_answer,
    faults.cut_request,
    faults.cut_answer,
    faults.fail_after,
    faults.twice,
    faults.delay(0.05),
    faults.status(500),
    faults.status(503),
    faults.status(429),
    faults.limited("1"),
]
SLOW: list[Fault] = [faults.hang, faults.hang_after, faults.late]
UPSERT, UPDATE, DELETE, FLIP = (
    r"PUT /collections/[^/]+/points",
    r"POST /collections/[^/]+/points/batch",
    r"POST /collections/[^/]+/points/delete",
    r"POST /collections/aliases",
)
CREATE, READ, SCROLL = (
    r"PUT /collections/[^/]+",
    r"POST /collections/[^/]+/points",
    r"POST /collections/[^/]+/points/scroll",
)
UNANSWERED = [
    *((UPSERT, [at], fault) for at, fault in enumerate(SLOW, 3)),
    (CREATE, [2], faults.late),
    (UPDATE, [1], faults.late),
    (DELETE, [1], faults.hang_after),
    (FLIP, [1], faults.hang_after),
    (FLIP, [3], faults.late),
]


def name_of(fault: Fault) -> str:
    return str(getattr(fault, "__name__", fault))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path / "qdrant.log") as url:
        yield url


@pytest.fixture
def proxy(server: str) -> Iterator[FaultProxy]:
    with FaultProxy(port_of(server)) as proxy:
        yield proxy


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


@pytest.fixture
def project(tmp_path: Path, proxy: FaultProxy) -> Iterator[HashWorkspace]:
    with server_project(tmp_path / "project", proxy.url) as workspace:
        yield workspace


def check_end(workspace: HashWorkspace, url: str) -> None:
    """What the whole protocol has to leave behind, whatever happened on the way."""
    with direct(url) as store:
        workspace.__dict__["store"] = store
        alias = workspace.settings.alias
        assert store.aliases() == {alias: f"{alias}--v1"}
        for version in ("v1", "v2"):
            check_contents(workspace, store, version)
        assert status(workspace).differences == ()
        history = workspace.registry.promotions(state="done")[::-1]
        assert [item.to_collection for item in history] == [
            f"{alias}--{version}" for version in ("v1", "v2", "v1")
        ]
        assert workspace.registry.promotions(state="intent") == []


def run_protocol(project: HashWorkspace) -> None:
    for step in PROTOCOL.values():
        step(project)


@pytest.mark.parametrize("seed", [13, pytest.param(14, marks=pytest.mark.slow)])
def test_faults_at_random_are_overcome(
    project: HashWorkspace, proxy: FaultProxy, server: str, seed: int
) -> None:
    project.__dict__["store"] = hurried_store(proxy.url, attempts=9)
    proxy.plan = Dice(QUICK, share=0.2, seed=seed)
    run_protocol(project)
    assert {call.fault for call in proxy.calls(faulty=True)} == set(map(name_of, QUICK))
    check_end(project, server)


@pytest.mark.slow
@pytest.mark.parametrize("fault", QUICK, ids=name_of)
def test_a_kind_of_fault_is_overcome(
    project: HashWorkspace, proxy: FaultProxy, server: str, fault: Fault
) -> None:
    project.__dict__["store"] = hurried_store(proxy.url, attempts=9)
    proxy.plan = Dice([fault], share=0.3, seed=13)
    run_protocol(project)
    check_end(project, server)


def test_requests_without_an_answer_are_given_up_and_tried_again(
    project: HashWorkspace, proxy: FaultProxy, server: str
) -> None:
    project.__dict__["store"] = hurried_store(proxy.url, attempts=9, timeout=1)
    proxy.plan = Rules(UNANSWERED)
    run_protocol(project)
    hit = {(call.method, call.fault) for call in proxy.calls(faulty=True)}
    assert hit >= {("PUT", name_of(fault)) for fault in SLOW}
    assert len(proxy.calls(faulty=True)) == len(UNANSWERED)
    check_end(project, server)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 12))
def test_a_stage_that_gave_up_is_run_again(
    project: HashWorkspace, proxy: FaultProxy, server: str, seed: int
) -> None:
    project.__dict__["store"] = hurried_store(proxy.url, attempts=2)
    proxy.plan = Dice(QUICK, share=0.08, seed=seed, in_a_row=9)
    errors: list[ReindexError] = []
    for step in PROTOCOL.values():
        until_done(partial(step, project), errors)
    assert errors
    for error in errors:
        assert "collection" in str(error) or "Qdrant server" in str(error)
    check_end(project, server)
