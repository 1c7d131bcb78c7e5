"""Vectors that belong to others (sparse ones beside ours) through single writes and flips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from reindex.indexing import Indexer
from reindex.records import STAMP_KEY
from reindex.stages import cutover
from reindex.stages.adopting import AdoptionRequest, adopt
from reindex.stages.building import build
from reindex.stages.promoting import promote, rollback
from reindex.stages.upkeep import status
from tests.adoption_fixtures import project_over
from tests.foreign_fixtures import NAME, langchain
from tests.hash_project import HashWorkspace, encoder_of

TEXTS = [f"the text of document number {number}" for number in range(40)]
NEW, SPARSE = f"{NAME}--v2", "langchain-sparse"
Project = tuple[HashWorkspace, QdrantClient, list[Any]]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A hybrid collection of LangChain's, adopted as v1; v2 is built. The ids are in order."""
    written = langchain(TEXTS, encoder_of("v1"), hybrid=True)
    with project_over(tmp_path, written) as workspace:
        adopt(workspace, AdoptionRequest(NAME, "v1"))
        build(workspace, "v2")
        records, _ = written.client.scroll(NAME, limit=100)
        yield workspace, written.client, [record.id for record in records]


def sparse_of(client: QdrantClient, collection: str) -> dict[Any, tuple[int, ...] | None]:
    """Every point's sparse vector by its indices; None where it has none."""
    records, _ = client.scroll(collection, limit=100, with_vectors=[SPARSE])
    found: dict[Any, Any] = {record.id: (record.vector or {}).get(SPARSE) for record in records}  # type: ignore[union-attr]
    return {id: None if v is None else tuple(v.indices) for id, v in found.items()}


def give(client: QdrantClient, collection: str, id: Any, *words: int) -> None:
    """The owner of the sparse vectors writes one; nothing else of the point changes."""
    vector = models.SparseVector(indices=list(words), values=[1.0] * len(words))
    client.update_vectors(collection, [models.PointVectors(id=id, vector={SPARSE: vector})])


def content(text: str) -> dict[str, Any]:
    return {"page_content": text, "metadata": {}}


def at(monkeypatch: pytest.MonkeyPatch, step: str, act: Callable[[], None]) -> None:
    """Do something right before a step of the cut-over, the first time."""
    real, todo = getattr(cutover, step), [act]

    def then(*args: Any, **kwargs: Any) -> Any:
        if todo:
            todo.pop()()
        return real(*args, **kwargs)

    monkeypatch.setattr(cutover, step, then)


def test_a_single_write_leaves_them_on_the_points_that_it_overwrites(project: Project) -> None:
    workspace, client, ids = project
    before = sparse_of(client, NAME)
    assert None not in before.values()
    Indexer(workspace).upsert([(id, None, content(f"edited: {id}")) for id in ids[:5]])
    assert sparse_of(client, NAME) == before
    assert sparse_of(client, NEW) == before
    edited = client.retrieve(NEW, ids[:5])
    assert [point.payload["page_content"] for point in edited] == [f"edited: {i}" for i in ids[:5]]  # type: ignore[index]


STEPS = ("prepare", "catch_up", "_pass", "_flip", "_deliver_rest", "finish_sweeps", "_careful_pass")


@pytest.mark.parametrize("step", STEPS)
def test_their_owner_s_writes_to_the_old_collection_arrive_in_the_new_one(
    project: Project, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    workspace, client, ids = project

    def write() -> None:
        give(client, NAME, ids[3], 7, 8)

    at(monkeypatch, step, write)
    promote(workspace, "v2", force=True, reason="test")
    found = sparse_of(client, NEW)
    assert found[ids[3]] == (7, 8)
    assert found == sparse_of(client, NAME)
    assert status(workspace).sweeps == ()


def test_new_points_and_edits_bring_theirs_through_the_cut_over(project: Project) -> None:
    workspace, client, ids = project
    client.set_payload(NAME, content("edited by the application"), points=[ids[1]])
    give(client, NAME, ids[1], 11)
    Indexer(workspace).upsert([("fresh", None, content("a new document"))])
    (fresh,) = sparse_of(client, NAME).keys() - set(ids)
    give(client, NAME, fresh, 12)
    promote(workspace, "v2", force=True, reason="test")
    found = sparse_of(client, NEW)
    assert (found[ids[1]], found[fresh]) == ((11,), (12,))
    assert found == sparse_of(client, NAME)


def test_the_sweep_keeps_those_of_points_that_changed_in_the_new_collection(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, client, ids = project
    client.delete_vectors(NEW, [SPARSE], [ids[4]])

    def write() -> None:
        Indexer(workspace).upsert([(ids[2], None, content("newer"))])
        give(client, NEW, ids[2], 20)  # the application follows the alias already
        give(client, NAME, ids[2], 21)
        client.overwrite_payload(NEW, content("without our stamp"), [ids[5]])
        give(client, NEW, ids[5], 22)
        give(client, NAME, ids[5], 23)
        give(client, NAME, ids[6], 24)
        client.delete_vectors(NAME, [SPARSE], [ids[7]])

    at(monkeypatch, "finish_sweeps", write)
    seventh = sparse_of(client, NEW)[ids[7]]
    promote(workspace, "v2", force=True, reason="test")
    found = sparse_of(client, NEW)
    assert (found[ids[2]], found[ids[5]], found[ids[6]]) == ((20,), (22,), (24,))
    assert found[ids[4]] == sparse_of(client, NAME)[ids[4]] is not None
    assert found[ids[7]] == seventh  # a sweep takes nothing away


def test_a_rollback_brings_back_what_their_owner_wrote_since(project: Project) -> None:
    workspace, client, ids = project
    promote(workspace, "v2", force=True, reason="test")
    give(client, NEW, ids[8], 30)
    client.delete_vectors(NEW, [SPARSE], [ids[9]])
    Indexer(workspace).upsert([(ids[10], None, content("since"))])
    rollback(workspace)
    found = sparse_of(client, NAME)
    assert (found[ids[8]], found[ids[9]]) == ((30,), None)
    assert found == sparse_of(client, NEW)
    untouched = client.retrieve(NAME, [ids[8]])[0].payload
    assert untouched is not None
    assert STAMP_KEY not in untouched


def test_a_write_after_the_flip_back_at_once_is_swept(project: Project) -> None:
    workspace, client, ids = project
    promote(workspace, "v2", force=True, reason="test")
    give(client, NEW, ids[8], 30)
    rollback(workspace, now=True)
    assert sparse_of(client, NAME)[ids[8]] == (30,)
