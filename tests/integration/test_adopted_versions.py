"""After an adoption: the next version beside it, what is carried over, and what gc leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reindex.corpus.frameworks import StoredText
from reindex.registry.adoptions import Adoptions
from reindex.stages.adopting import AdoptionRequest, adopt
from reindex.stages.building import build
from reindex.stages.comparing import compare_with_live
from reindex.stages.promoting import promote, rollback
from reindex.stages.upkeep import collect_garbage, status
from reindex.stores.server import ServerStore
from tests.adoption_fixtures import TEXTS, Written, assert_same, points_of, project_over, written_by
from tests.foreign_fixtures import FRAMEWORKS, NAME, Foreign, embeddings, sparse_embeddings
from tests.hash_project import DIM, HashWorkspace, encoder_of
from tests.remembering_client import RememberingClient


@pytest.fixture(params=[(name, hybrid) for name in FRAMEWORKS for hybrid in (False, True)])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Written]:
    name, hybrid = request.param
    yield from written_by(name, hybrid, tmp_path)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Written]:
    yield from written_by("langchain", False, tmp_path)


def write_judgements(folder: Path, foreign: Foreign) -> dict[str, Any]:
    """Every text asks for its own point."""
    found = {StoredText(foreign.preset)(p.payload): str(p.id) for p in points_of(foreign)}
    queries, qrels = folder / "queries.jsonl", folder / "qrels.tsv"
    queries.write_text(
        "".join(json.dumps({"_id": f"q{n}", "text": t}) + "\n" for n, t in enumerate(found))
    )
    qrels.write_text(
        "query-id\tcorpus-id\tscore\n"
        + "".join(f"q{n}\t{id}\t1\n" for n, id in enumerate(found.values()))
    )
    return {"evaluation": {"queries": str(queries), "qrels": str(qrels)}}


def test_the_next_version_is_built_compared_and_promoted(written: Written, tmp_path: Path) -> None:
    _, foreign = written
    layout = {"layout": "single"} if foreign.preset == "haystack" else {}
    workspace = project_over(
        tmp_path / "project", foreign, store={"kind": "server", **layout},
        **write_judgements(tmp_path, foreign),
    )  # fmt: skip
    with workspace:
        adopt(workspace, AdoptionRequest(NAME, "v1"))
        report = build(workspace, "v2")
        assert (report.inserted, report.complete) == (60, True)
        assert_carried_over(workspace, foreign)
        stored, result = compare_with_live(workspace, "v2")
        assert (stored.live_collection, stored.candidate_collection) == (NAME, f"{NAME}--v2")
        recall = result.row("recall")
        assert (recall.mean_live, recall.mean_candidate) == (1, 1)
        promote(workspace, "v2", force=True, reason="no better, of course")
        hits = fresh_retriever(workspace).search(foreign.embedded[7])
        assert (hits.version, hits.collection) == ("v2", f"{NAME}--v2")
        assert StoredText(foreign.preset)(hits[0].payload) == foreign.embedded[7]
        before = points_of(foreign)
        rollback(workspace)
        assert_same(points_of(foreign), before)  # nothing has changed, so nothing is written
        assert fresh_retriever(workspace).search(foreign.embedded[7]).collection == NAME
        assert status(workspace).differences == ()


def fresh_retriever(workspace: HashWorkspace) -> Any:
    """One that has no lease yet, so that no test waits for the alias to be read again."""
    workspace.retrievers.clear()
    return workspace.retriever()


def assert_carried_over(workspace: HashWorkspace, foreign: Foreign) -> None:
    """The new collection has the old one's other vectors, and its own under the same name."""
    store, new = workspace.store, f"{NAME}--v2"
    assert isinstance(store, ServerStore)
    old, made = store.describe(NAME), store.describe(new)
    assert made.unowned == old.unowned
    assert made.owned[0] == foreign.vector
    names = [vector.name for vector in old.unowned]
    if names:
        before, after = (
            {p.id: p.vector for p in foreign.client.scroll(c, limit=100, with_vectors=names)[0]}
            for c in (NAME, new)
        )
        assert len(before) == 60
        assert after == before


def test_a_build_carries_payload_indexes_over(plain: Written) -> None:
    workspace, foreign = plain
    client: Any = foreign.client
    client.__class__, client.given, client.indexes = RememberingClient, {}, {}
    client.create_payload_index(NAME, "metadata.topic", "keyword")
    adopt(workspace, AdoptionRequest(NAME, "v1"))
    build(workspace, "v2")
    store = workspace.store
    assert isinstance(store, ServerStore)
    assert store.describe(f"{NAME}--v2").indexes == store.describe(NAME).indexes


def test_the_framework_itself_reads_the_new_collection(written: Written) -> None:
    workspace, foreign = written
    settings = workspace.settings.store.model_copy(update={"layout": "single"})
    workspace.settings = workspace.settings.model_copy(update={"store": settings})
    adopt(workspace, AdoptionRequest(NAME, "v1"))
    build(workspace, "v2")
    reader = {"langchain": _read_langchain, "llamaindex": _read_llamaindex,
              "haystack": _read_haystack}  # fmt: skip
    hybrid = len(workspace.store.describe(NAME).vectors) > 1  # type: ignore[attr-defined]
    vector = encoder_of("v2").encode_queries([foreign.embedded[7]])[0].tolist()
    assert reader[foreign.preset](foreign, f"{NAME}--v2", vector, hybrid) == TEXTS[7]


def _read_langchain(foreign: Foreign, name: str, vector: list[float], hybrid: bool) -> str:
    from langchain_qdrant import QdrantVectorStore, RetrievalMode

    given: dict[str, Any] = {}
    if hybrid:
        given = {"retrieval_mode": RetrievalMode.HYBRID, "sparse_embedding": sparse_embeddings()}
    store = QdrantVectorStore(
        foreign.client, name, embedding=embeddings(encoder_of("v2")), **given
    )  # fmt: skip
    return str(store.similarity_search(TEXTS[7], k=1)[0].page_content)


def _read_llamaindex(foreign: Foreign, name: str, vector: list[float], hybrid: bool) -> str:
    from llama_index.core.vector_stores.types import VectorStoreQuery
    from llama_index.vector_stores.qdrant import QdrantVectorStore

    store = QdrantVectorStore(name, client=foreign.client)
    found = store.query(VectorStoreQuery(query_embedding=vector, similarity_top_k=1))
    assert found.nodes
    return found.nodes[0].get_content()


def _read_haystack(foreign: Foreign, name: str, vector: list[float], hybrid: bool) -> str:
    from haystack_integrations.document_stores.qdrant import QdrantDocumentStore

    store = QdrantDocumentStore(
        ":memory:", index=name, embedding_dim=DIM, use_sparse_embeddings=hybrid
    )
    store._client = foreign.client
    return str(store._query_by_embedding(vector, top_k=1)[0].content)


def test_adopted_collections_are_never_removed(plain: Written) -> None:
    workspace, _ = plain
    adopt(workspace, AdoptionRequest(NAME, "v1"))
    workspace.store.point_alias("support-live", NAME)
    cleaned = collect_garbage(workspace)
    assert cleaned.removed == ()
    found = Adoptions(workspace.registry).of(NAME)
    assert found is not None
    assert found.graph == "fp32"
