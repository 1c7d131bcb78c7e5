"""A project on a Qdrant server: in-memory mode, or the server that QDRANT_URL names."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reindex.errors import Conflict
from reindex.promotion import flip
from reindex.retriever import Retriever, Serving
from reindex.stages.building import build
from reindex.stages.promoting import promote, rollback
from reindex.stages.searching import open_retriever
from reindex.stages.upkeep import history, status
from reindex.stores.server import ServerStore
from tests.hash_project import HashWorkspace, encoder_of, hash_project, write_documents
from tests.integration.test_flips import plan

TEXTS = [f"the text of document number {number}" for number in range(60)]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[HashWorkspace]:
    write_documents(tmp_path, TEXTS)
    name = f"test-{uuid.uuid4().hex[:8]}"
    hurried: dict[str, Any] = {"serving": {"lease_ttl": 0.2}, "qdrant": {"timeout": 1}}
    with hash_project(tmp_path, project={"name": name}, **hurried) as workspace:
        client = connect_client()
        workspace.__dict__["store"] = ServerStore(client, attempts=1)
        for version in ("v1", "v2"):
            build(workspace, version)
        promote(workspace, "v1")
        yield workspace
        for version in ("v1", "v2"):
            client.delete_collection(f"{name}--{version}")  # takes the alias along


def connect_client() -> Any:
    from qdrant_client import QdrantClient

    url = os.environ.get("QDRANT_URL")
    return QdrantClient(url=url) if url else QdrantClient(":memory:")


def test_the_alias_is_the_server_s_own(project: HashWorkspace) -> None:
    alias = project.settings.alias
    assert project.store.aliases()[alias] == f"{alias}--v1"
    promote(project, "v2", force=True, reason="test")
    assert project.store.aliases()[alias] == f"{alias}--v2"
    assert rollback(project).to_collection == f"{alias}--v1"
    assert [item.kind for item in history(project)] == ["rollback", "promote", "promote"]
    assert status(project).differences == ()


def test_a_build_over_an_unchanged_source_writes_nothing(project: HashWorkspace) -> None:
    report = build(project, "v1")
    assert (report.unchanged, report.embedded) == (len(TEXTS), 0)


def test_a_flip_outside_the_registry_is_refused_and_named(project: HashWorkspace) -> None:
    alias = project.settings.alias
    decided = plan(project, "v2", f"{alias}--v1")
    project.store.point_alias(alias, f"{alias}--v2")
    with pytest.raises(Conflict, match="points at"):
        flip(project.registry, project.store, decided)
    assert any("outside this registry" in item for item in status(project).differences)


def test_a_stale_lease_is_still_a_matching_pair(project: HashWorkspace) -> None:
    def load(_: str, metadata: Any) -> Serving:
        return Serving(encoder_of(metadata["version"]), 10, frozenset())

    def live() -> str:
        return str(project.live_collection())

    patient = Retriever(project.store, live, load, lease_ttl=3600)
    eager = Retriever(project.store, live, load, lease_ttl=1e-9)
    for retriever in (patient, eager):
        assert retriever.search(TEXTS[7]).version == "v1"
    promote(project, "v2", force=True, reason="test")
    eager.search(TEXTS[7])  # finds its lease old and has the alias read in the background
    eager.wait_until_settled()
    for retriever, version in ((patient, "v1"), (eager, "v2")):
        results = retriever.search(TEXTS[7])
        assert results.version == version
        assert results[0].id == "d7"
        assert results[0].score == pytest.approx(1, abs=1e-3)


def test_a_collection_that_is_gone_is_resolved_again_once(project: HashWorkspace) -> None:
    alias = project.settings.alias

    def load(_: str, metadata: Any) -> Serving:
        return Serving(encoder_of(metadata["version"]), 10, frozenset())

    stale = Retriever(project.store, lambda: str(project.live_collection()), load, lease_ttl=3600)
    assert stale.search(TEXTS[1]).version == "v1"
    promote(project, "v2", force=True, reason="test")
    project.store.drop(f"{alias}--v1")
    results = stale.search(TEXTS[1])
    assert (results.version, results[0].id) == ("v2", "d1")
    build(project, "v1")


def test_a_canary_answers_its_keys_on_a_server_too(project: HashWorkspace) -> None:
    retriever = open_retriever(project)
    assert retriever.search(TEXTS[0], 1, key="a").version == "v1"
    project.canary("v2", weight=1.0)
    retriever.wait_until_settled()
    found = retriever.search(TEXTS[0], 1, key="a")
    assert (found.version, found[0].payload["text"]) == ("v2", TEXTS[0])
    project.canary(weight=0.0)
    retriever.wait_until_settled()  # the weight is read every lease_ttl, or now
    assert retriever.search(TEXTS[0], 1, key="a").version == "v1"
    retriever.shadow.wait()
    standing = project.canary_standing()
    assert standing is not None
    assert [item.side for item in standing.sides] == ["live", "candidate", "shadow"]


def test_a_candidate_that_is_dropped_on_the_server_costs_no_answer(project: HashWorkspace) -> None:
    retriever = open_retriever(project)
    project.canary("v2", weight=1.0)
    retriever.wait_until_settled()
    project.store.drop(project.settings.collection("v2"))
    for _ in range(3):
        assert retriever.search(TEXTS[0], 1, key="a").version == "v1"
    assert retriever.health() == "degraded"
    project.end_canary()
    retriever.wait_until_settled()
    assert retriever.search(TEXTS[0], 1, key="a").version == "v1"
    assert retriever.health() == "ready"
    build(project, "v2")
