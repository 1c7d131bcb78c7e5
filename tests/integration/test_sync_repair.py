"""Points that other clients write into a collection of ours are told, taken in, and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from reindex.gate import Condition
from reindex.records import INDEXER_SOURCE, SearchPlan, point_id
from reindex.stages.building import build
from reindex.stages.promoting import promote
from reindex.stages.syncing import Synced, sync
from reindex.stores.server import ServerStore
from reindex.testing.points import unit_vectors, uuid_of
from tests.hash_project import DIM, HashWorkspace, encoder_of, hash_project, write_documents

TEXTS = [f"text {n}" for n in range(20)]
LIVE, FOREIGN, SILENT, OURS = "docs--v1", uuid_of(1), uuid_of(2), str(point_id("d3"))


@pytest.fixture
def client() -> QdrantClient:
    return QdrantClient(":memory:")


@pytest.fixture
def project(tmp_path: Path, client: QdrantClient) -> Iterator[HashWorkspace]:
    """v1 is live on a server, v2 is built."""
    write_documents(tmp_path, TEXTS)
    with hash_project(
        tmp_path, source={"path": Path("data"), "text_fields": ["text"]}
    ) as workspace:
        workspace.__dict__["store"] = ServerStore(client, attempts=1)
        for version in ("v1", "v2"):
            build(workspace, version)
        promote(workspace, "v1")
        yield workspace


def write_plainly(client: QdrantClient, collection: str = LIVE) -> None:
    """A client with a model of its own: one with text, one without, one over a document of ours."""
    rows = unit_vectors(3, DIM).tolist()
    payloads: list[dict[str, Any]] = [
        {"text": "from elsewhere", "tenant": "b"},
        {"note": "no text"},
        {"text": "overwritten"},
    ]
    made = [
        models.PointStruct(id=id, vector={"": row}, payload=payload)
        for id, row, payload in zip([FOREIGN, SILENT, OURS], rows, payloads, strict=True)
    ]
    client.upsert(collection, made)


def other_writers(project: HashWorkspace) -> Condition | None:
    conditions = promote(project, "v2", dry_run=True).decision.conditions
    return next((item for item in conditions if item.name == "other writers"), None)


def found(project: HashWorkspace, text: str) -> list[Any]:
    """What a two-stage search in the live collection gives for a text of its own."""
    query = encoder_of("v1").encode_queries([text])[0]
    hits = project.store.search(LIVE, query, SearchPlan(k=1, two_stage=True))
    return [hit.payload.get("text") for hit in hits if hit.score > 0.999]


def test_they_hold_a_promotion_back_until_they_are_taken_in(
    project: HashWorkspace, client: QdrantClient
) -> None:
    clear = other_writers(project)
    assert clear is not None
    assert clear.verdict == "pass"
    write_plainly(client)
    held = other_writers(project)
    assert held is not None
    assert (held.verdict, "--repair" in held.figure) == ("fail", True)
    assert held.figure.startswith("3. Points in docs--v1 written by another client")
    sync(project, repair=True)
    client.delete(LIVE, [SILENT])  # nobody can embed what has no text
    cleared = other_writers(project)
    assert cleared is not None
    assert cleared.verdict == "pass"


def test_they_are_embedded_stamped_and_found(project: HashWorkspace, client: QdrantClient) -> None:
    write_plainly(client)
    assert found(project, "from elsewhere") == []
    (live,) = sync(project, repair=True)
    assert live.error is None
    assert live.report is not None
    assert live.repaired is not None
    assert live.report.updated == 1  # a document of the source: as the source has it
    assert (live.repaired.updated, live.repaired.embedded, live.repaired.dead) == (1, 1, 1)
    assert found(project, "from elsewhere") == ["from elsewhere"]
    assert found(project, TEXTS[3]) == [TEXTS[3]]
    points = project.store.retrieve(LIVE, [FOREIGN, SILENT], with_payload=True)
    stamp = points[FOREIGN].stamp
    assert stamp is not None
    assert (stamp.source, stamp.id, stamp.encoding) == (
        INDEXER_SOURCE, FOREIGN, encoder_of("v1").encoding,
    )  # fmt: skip
    assert points[FOREIGN].payload == {"text": "from elsewhere", "tenant": "b"}
    assert points[SILENT].stamp is None
    (letters,) = (project.settings.home / "dead-letters").glob("repair-*.jsonl")
    assert json.loads(letters.read_text("utf-8"))["id"] == SILENT


def test_once_taken_in_they_stay_and_cost_nothing(
    project: HashWorkspace, client: QdrantClient
) -> None:
    write_plainly(client)
    sync(project, repair=True)
    embedded = project.embedded
    for _ in range(2):
        (live,) = sync(project, repair=True)
        assert live.changed == 0
    assert project.embedded == embedded
    assert FOREIGN in project.store.retrieve(LIVE, [FOREIGN])
    build(project, "v2")  # a candidate gets them too
    moved = project.store.retrieve("docs--v2", [FOREIGN], with_payload=True)[FOREIGN]
    assert moved.payload["text"] == "from elsewhere"


def test_without_repair_they_are_left(project: HashWorkspace, client: QdrantClient) -> None:
    write_plainly(client)
    (live,) = sync(project)
    assert live.repaired is None
    assert project.store.retrieve(LIVE, [FOREIGN])[FOREIGN].stamp is None


def test_a_lost_prefix_is_mended_by_any_sync(project: HashWorkspace, client: QdrantClient) -> None:
    client.delete_vectors(LIVE, ["prefix"], [OURS])
    assert project.store.missing_vectors(LIVE) == {OURS}
    (live,) = sync(project)
    assert live.changed == 1
    assert project.store.missing_vectors(LIVE) == set()


def test_the_gate_may_bear_some(project: HashWorkspace, client: QdrantClient) -> None:
    write_plainly(client)
    gate = project.settings.gate.model_copy(update={"max_unstamped": 3})
    project.settings = project.settings.model_copy(update={"gate": gate})
    held = other_writers(project)
    assert held is not None
    assert held.verdict == "pass"


def test_nobody_else_writes_to_an_embedded_store(tmp_path: Path) -> None:
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path) as workspace:
        for version in ("v1", "v2"):
            build(workspace, version)
        promote(workspace, "v1")
        assert other_writers(workspace) is None
        (live,) = sync(workspace, repair=True)
        assert isinstance(live, Synced)
        assert live.repaired is not None
        assert live.repaired.documents == 0
