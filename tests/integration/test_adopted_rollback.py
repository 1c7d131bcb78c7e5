"""The way back to an adopted collection: deletes arrive, and nobody else's points are touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from reindex.errors import TooManyDeletes
from reindex.indexing import Indexer
from reindex.records import point_id
from reindex.stages.adopting import AdoptionRequest, adopt
from reindex.stages.building import build
from reindex.stages.promoting import promote, rollback
from tests.adoption_fixtures import project_over
from tests.foreign_fixtures import NAME, langchain
from tests.hash_project import HashWorkspace, encoder_of

TEXTS = [f"the text of document number {number}" for number in range(40)]
NEW = f"{NAME}--v2"
Project = tuple[HashWorkspace, QdrantClient, list[Any]]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """LangChain's collection, adopted as v1; v2, built from it, is live. The ids are in order."""
    written = langchain(TEXTS, encoder_of("v1"))
    with project_over(tmp_path, written) as workspace:
        adopt(workspace, AdoptionRequest(NAME, "v1"))
        build(workspace, "v2")
        promote(workspace, "v2", force=True, reason="test")
        yield workspace, written.client, ids_of(written.client, NAME)


def ids_of(client: QdrantClient, collection: str) -> list[Any]:
    return [record.id for record in client.scroll(collection, limit=100)[0]]


def add(client: QdrantClient, collection: str, id: int, text: str) -> None:
    """A plain client writes a point of its own, with its own model's vector."""
    vector = encoder_of("v1").encode_documents([text])[0].tolist()
    payload = {"page_content": text, "metadata": {}}
    client.upsert(collection, [models.PointStruct(id=id, payload=payload, vector=vector)])


@pytest.mark.parametrize("now", [False, True])
def test_what_was_deleted_while_the_other_was_live_does_not_come_back(
    project: Project, now: bool
) -> None:
    workspace, client, ids = project
    client.delete(NEW, ids[3:5])
    Indexer(workspace).delete(ids[6])
    add(client, NAME, 1000, "a late point by a client that knows the old name only")
    rollback(workspace, now=now)
    assert workspace.live_collection() == NAME
    gone = {*ids[3:5], ids[6]}
    assert set(ids_of(client, NAME)) == {*ids, 1000} - gone


def test_nothing_is_deleted_before_the_flip_away_was_swept(
    project: Project, tmp_path: Path
) -> None:
    workspace, client, ids = project
    (file,) = (workspace.settings.home / "originals").iterdir()
    file.unlink()
    client.delete(NEW, ids[3:5])
    rollback(workspace)
    assert ids_of(client, NAME) == ids


def test_a_point_that_the_new_collection_never_had_stays(project: Project) -> None:
    """One without a text is no document: it is in no version, and nobody deleted it."""
    workspace, client, ids = project
    rollback(workspace)
    client.set_payload(NAME, {"page_content": ""}, [ids[0]])
    client.delete(NEW, [ids[0]])
    promote(workspace, "v2", force=True, reason="again")
    rollback(workspace)
    assert ids_of(client, NAME) == ids


def test_there_and_back_again(project: Project) -> None:
    workspace, client, ids = project
    client.delete(NEW, [ids[0]])
    rollback(workspace)
    client.delete(NAME, [ids[1]])
    add(client, NAME, 1000, "written while the old one was live again")
    promote(workspace, "v2", force=True, reason="again")
    assert set(ids_of(client, NEW)) == {*ids[2:], 1000}
    client.delete(NEW, [1000, ids[2]])
    rollback(workspace)
    assert ids_of(client, NAME) == ids[3:]


def test_more_deletes_than_a_pass_may_do_stop_the_rollback(project: Project) -> None:
    workspace, client, ids = project
    client.delete(NEW, ids[:30])
    with pytest.raises(TooManyDeletes, match=r"30 of the 40"):
        rollback(workspace)
    assert (workspace.live_collection(), ids_of(client, NAME)) == (NEW, ids)


def test_a_document_deleted_and_written_again_is_there(project: Project) -> None:
    workspace, client, ids = project
    indexer = Indexer(workspace)
    indexer.delete(ids[5])
    indexer.upsert([(ids[5], None, {"page_content": "again", "metadata": {}})])
    rollback(workspace)
    found = client.retrieve(NAME, [point_id(ids[5])])[0].payload
    assert found is not None
    assert found["page_content"] == "again"
    assert set(ids_of(client, NAME)) == set(ids)
