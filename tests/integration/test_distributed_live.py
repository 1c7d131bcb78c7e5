"""Builds on a Ray cluster whose source is a database: a server's collection, or SQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from reindex.stages.building import build
from reindex.stages.engines import Engine
from reindex.stages.promoting import promote
from tests.hash_project import DIM, HashWorkspace, hash_project, write_documents
from tests.qdrant_server import QdrantProcess
from tests.ray_cluster import mend, strike, two_machines
from tests.sql_fixtures import SOURCE, put, remove

pytest.importorskip("ray", reason="the [distributed] extra")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own

RAY = Engine("ray")
COUNT = 600
TEXTS = [f"the text of document {number % 500}" for number in range(COUNT)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    yield from two_machines()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QdrantProcess]:
    with QdrantProcess(tmp_path) as server:
        yield server


@pytest.fixture
def live(tmp_path: Path, server: QdrantProcess) -> Iterator[HashWorkspace]:
    """A project whose source is what is live, v1: some points edited or written by others."""
    folder = tmp_path / "project"
    folder.mkdir()
    write_documents(folder, TEXTS)
    values: dict[str, Any] = {
        "store": {"kind": "server"},
        "qdrant": {"url": server.url, "prefer_grpc": False},
        "distributed": {"workers": 2},
        "embed": {"cache": False},
    }
    with hash_project(folder, **values) as files:
        build(files, "v1")
        promote(files, "v1", force=True, reason="test")
        _write_as_others(server.url)
        settings = files.settings
    changed = {"kind": "collection", "max_bad_rows": 0.5}
    source = settings.source.model_copy(update=changed)
    with HashWorkspace(settings.model_copy(update={"source": source})) as workspace:
        yield workspace


def _write_as_others(url: str) -> None:
    """An edit behind the stamp, a point of a plain client's, and one without a text."""
    client = QdrantClient(url, check_compatibility=False)
    [first], _ = client.scroll("docs--v1", limit=1)
    client.overwrite_payload("docs--v1", {"text": "behind our back"}, [first.id])
    payloads = {7: {"text": "a plain client's"}, 8: {"note": "without text"}}
    points = [
        models.PointStruct(id=id, vector={"": [1.0] * DIM}, payload=payload)
        for id, payload in payloads.items()
    ]
    client.upsert("docs--v1", points)
    client.close()


def points_of(workspace: HashWorkspace, collection: str) -> dict[Any, Any]:
    """All that converge answers for: the stamp without the run's own number, and the payload."""
    return {
        point.id: (point.stamp, point.payload)
        for page in workspace.store.scroll(collection, with_payload=True)
        for point in page
    }


@pytest.mark.parametrize("version", ["1.17.1", "1.19.0"])
def test_slices_of_what_is_live_are_what_one_process_reads(
    cluster: Any, live: HashWorkspace, version: str
) -> None:
    """By ranges of ids and by the server's own slices."""
    live.store.version = version  # type: ignore[attr-defined]
    here = build(live, "v2")
    expected = points_of(live, "docs--v2")
    assert len(expected) == COUNT + 1
    live.store.drop("docs--v2")
    report = build(live, "v2", engine=RAY)
    assert (report.documents, report.inserted, report.dead) == (COUNT + 1, COUNT + 1, 1)
    assert (report.complete, here.complete) == (True, True)
    found = points_of(live, "docs--v2")
    assert {id: payload for id, (_, payload) in found.items()} == {
        id: payload for id, (_, payload) in expected.items()
    }
    same = ("id", "source", "text_hash", "payload_hash", "rev", "encoding")
    for id, (stamp, _) in expected.items():
        assert [getattr(found[id][0], key) for key in same] == [getattr(stamp, key) for key in same]
    details = live.registry.runs()[0].details
    assert details["reading"] == {live.source.name: "4 slices"}
    assert details["writing"] == "the workers"
    assert report.embedded == here.embedded < COUNT  # equal texts once, whoever has them
    again = build(live, "v2", engine=RAY)
    assert (again.unchanged, again.embedded, again.deleted) == (COUNT + 1, 0, 0)


def test_killed_on_the_way_nothing_of_a_collection_is_lost(
    cluster: Any, live: HashWorkspace
) -> None:
    struck = threading.Event()

    def watch(stage: str, done: int, total: int | None) -> None:
        if stage == "build" and done > 128 and not struck.is_set():
            struck.set()
            strike(cluster)

    live.progress = watch
    report = build(live, "v2", engine=RAY)
    assert struck.is_set()
    assert (report.points, report.complete) == (COUNT + 1, True)
    details = live.registry.runs()[0].details
    assert (details["writing"], details["lost_calls"] > 0) == ("the workers", True)
    mend(cluster)
    again = build(live, "v2")
    assert (again.embedded, again.unchanged, again.deleted) == (0, COUNT + 1, 0)


def test_a_table_is_read_by_ranges_of_its_ids(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reindex.distributed.source.SLICE_ROWS", 400)
    put(tmp_path, [(number, f"body {number}") for number in range(1_000)])
    with hash_project(tmp_path, source=SOURCE) as workspace:
        plain = build(workspace, "v1")
        report = build(workspace, "v2", engine=RAY)
        assert (report.documents, report.complete) == (plain.documents, True) == (1_000, True)
        reading = workspace.registry.runs()[0].details["reading"]
        assert reading == {workspace.source.name: "3 slices"}
        remove(tmp_path, 1, 500, 999)
        put(tmp_path, [(2_000, "a new one"), (3, "edited")])
        again = build(workspace, "v2", engine=RAY)
        assert (again.embedded, again.inserted, again.updated, again.deleted) == (2, 1, 1, 3)
