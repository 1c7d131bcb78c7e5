"""Points that a server answers with 4xx, in a whole build: dead letters, tried again later."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reindex.errors import StoreRefused, TooManyBadRows
from reindex.stages.building import build
from reindex.stages.retrying import retry_failed
from tests.hash_project import HashWorkspace
from tests.qdrant_engine import Engine, Reply, Request
from tests.qdrant_server import serving
from tests.server_project import server_project

TEXTS = [f"the text of document number {number}" for number in range(40)]
V1 = "docs--v1"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[HashWorkspace]:
    with serving(tmp_path / "log") as url, server_project(tmp_path, url, TEXTS) as workspace:
        yield workspace


def write_rows(project: HashWorkspace, poisoned: set[int], count: int = 40) -> None:
    """The same documents; some with a field that the server will not take."""
    rows = [
        {"_id": f"d{n}", "text": TEXTS[n % 40], **({"note": "poison"} if n in poisoned else {})}
        for n in range(count)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (project.settings.root / "data" / "corpus.jsonl").write_text(lines, "utf-8")


def refuse(
    monkeypatch: pytest.MonkeyPatch, status: int, wrong: Callable[[bytes], bool]
) -> list[int]:
    """The server answers upserts with ``status`` where their body is ``wrong``; gives the sizes of
    those bodies.
    """
    real, refused = Engine.handle, list[int]()

    def handle(self: Engine, request: Request, *given: Any) -> Reply:
        upsert = request.method == "PUT" and request.path.endswith("/points")
        if upsert and wrong(request.body):
            refused.append(len(request.body))
            return Reply(status, b'{"status": {"error": "Wrong input: no such thing"}}')
        return real(self, request, *given)

    monkeypatch.setattr(Engine, "handle", handle)
    return refused


@pytest.mark.parametrize("status", [400, 422])
def test_a_refused_point_is_a_dead_letter_and_is_tried_again(
    project: HashWorkspace, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    refuse(monkeypatch, status, lambda body: b"poison" in body)
    write_rows(project, {7, 29})
    report = build(project, "v1")
    assert (report.inserted, report.failed, report.complete) == (38, 2, False)
    run = project.registry.runs(1)[0]
    file = project.settings.home / "dead-letters" / f"build-{run.id}.jsonl"
    letters = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert [letter["id"] for letter in letters] == ["d7", "d29"]
    assert all("Wrong input: no such thing" in letter["reason"] for letter in letters)
    write_rows(project, {29})
    retried = retry_failed(project, "v1")
    assert (retried.tried, retried.left, retried.reasons) == (2, 1, {"store": 1})
    write_rows(project, set())
    assert retry_failed(project, "v1").left == 0
    built = project.registry.collection(V1)
    assert built is not None
    assert (built.complete, project.store.count(V1)) == (True, 40)


def test_a_request_that_is_too_large_is_sent_in_parts(
    project: HashWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = refuse(monkeypatch, 413, lambda body: len(body) > 4000)
    report = build(project, "v1")
    assert (report.inserted, report.failed, report.complete) == (40, 0, True)
    assert refused


def test_a_server_that_takes_nothing_ends_the_build(
    project: HashWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, 400, lambda body: True)
    with pytest.raises(StoreRefused, match="no such thing"):
        build(project, "v1")
    assert not list((project.settings.home / "dead-letters").glob("*"))


def test_too_many_of_them_end_the_build(
    project: HashWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, 400, lambda body: b"poison" in body)
    write_rows(project, set(range(0, 200, 4)), count=200)
    with pytest.raises(TooManyBadRows, match=r"store \("):
        build(project, "v1")
