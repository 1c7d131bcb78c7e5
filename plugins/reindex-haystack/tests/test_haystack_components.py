"""The embedders and the retriever: over HTTP and on this host, blocking and not, and as YAML."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from haystack import Document, Pipeline
from haystack.components.writers import DocumentWriter
from haystack.document_stores.types import DuplicatePolicy, FilterPolicy
from haystack.errors import FilterError
from haystack.utils import Secret
from tests.hash_project import DIM, HashWorkspace, encoder_of
from tests.haystack_project import TEXTS, live_haystack_project, meta_of
from tests.http_fixtures import listening

from haystack_integrations.components.embedders.reindex import (
    ReindexDocumentEmbedder,
    ReindexTextEmbedder,
)
from haystack_integrations.components.retrievers.reindex import ReindexRetriever
from haystack_integrations.document_stores.reindex import ReindexDocumentStore
from reindex.errors import ServerUnreachable, UnknownVersion
from reindex.project import Project
from reindex.server.app import make_app
from reindex.stages.searching import settle

Run = Callable[..., dict[str, Any]]


def anything(value: Any) -> Any:
    """What the types forbid and a notebook does not."""
    return value


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HashWorkspace]:
    with live_haystack_project(tmp_path_factory.mktemp("haystack")) as project:
        project.build("v2")
        yield project


@pytest.fixture(scope="module")
def url(project: HashWorkspace) -> Iterator[str]:
    with listening(make_app(project)) as url:
        yield url


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same documents in a project that no server owns."""
    folder = tmp_path_factory.mktemp("haystack-here")
    live_haystack_project(folder).close()
    return str(folder)


@pytest.fixture(params=["http", "here"])
def target(
    request: pytest.FixtureRequest, url: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> str:
    monkeypatch.setattr(Project, "encoder", lambda _, version, **__: encoder_of(version.name))
    return url if request.param == "http" else folder


@pytest.fixture(params=["run", "run_async"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a component either way, and closes it."""

    def blocking(component: Any, **given: Any) -> dict[str, Any]:
        try:
            component.warm_up()
            found: dict[str, Any] = component.run(**given)
        finally:
            component.close()
        return found

    async def waiting(component: Any, **given: Any) -> dict[str, Any]:
        try:
            await component.warm_up_async()
            found: dict[str, Any] = await component.run_async(**given)
        finally:
            await component.close_async()
        return found

    if request.param == "run":
        return blocking
    return lambda component, **given: asyncio.run(waiting(component, **given))


def test_a_query_is_embedded(target: str, run: Run) -> None:
    found = run(ReindexTextEmbedder(target), text="a query")
    np.testing.assert_allclose(
        found["embedding"], encoder_of("v1").encode_queries(["a query"])[0], atol=1e-6
    )
    assert found["meta"] == {"model": "v1"}


def test_dimensions_and_version_are_chosen(target: str, run: Run) -> None:
    found = run(ReindexTextEmbedder(target, model="v2", dimensions=8), text="a query")
    whole = encoder_of("v2").encode_queries(["a query"])[0][:8]
    np.testing.assert_allclose(found["embedding"], whole / np.linalg.norm(whole), atol=1e-6)
    assert found["meta"] == {"model": "v2"}
    with pytest.raises(UnknownVersion, match="v9"):
        run(ReindexTextEmbedder(target, model="v9"), text="a query")


def test_documents_are_embedded_with_their_metadata(target: str, run: Run) -> None:
    documents = [
        Document(content=text, meta={"title": f"T{n}", "none": None, "n": n})
        for n, text in enumerate(TEXTS[:7])
    ]
    embedder = ReindexDocumentEmbedder(
        target, batch_size=3, progress_bar=False, meta_fields_to_embed=["title", "none", "n", "x"],
        embedding_separator=" | ",
    )  # fmt: skip
    found = run(embedder, documents=documents)
    texts = [f"T{n} | {n} | {text}" for n, text in enumerate(TEXTS[:7])]
    np.testing.assert_allclose(
        [item.embedding for item in found["documents"]],
        encoder_of("v1").encode_documents(texts), atol=1e-6,
    )  # fmt: skip
    assert found["meta"] == {"model": "v1"}
    assert [item.meta for item in found["documents"]] == [item.meta for item in documents]
    assert all(item.embedding is None for item in documents)
    assert run(embedder, documents=[]) == {"documents": [], "meta": {"model": None}}


def test_a_flip_between_two_batches_mixes_nothing(project: HashWorkspace, url: str) -> None:
    embedder = ReindexDocumentEmbedder(url, batch_size=2, progress_bar=False)
    connection = embedder._link.connection
    embed = connection.embed
    asked: list[str] = []

    def flipping(texts: Any, **how: Any) -> Any:
        found = embed(texts, **how)
        if not asked:
            project.promote("v2", force=True, reason="a test")
            settle(project)
        asked.append(found.version)
        return found

    connection.embed = flipping  # type: ignore[method-assign]
    try:
        found = embedder.run([Document(content=text) for text in TEXTS[:5]])
    finally:
        project.promote("v1", force=True, reason="a test")
        settle(project)
    assert (asked, found["meta"]) == (["v1"] * 3, {"model": "v1"})


def test_a_query_finds_documents_with_scores_and_the_version(target: str, run: Run) -> None:
    retriever = ReindexRetriever(ReindexDocumentStore(target), top_k=3)
    found = run(retriever, query=TEXTS[7])
    best, *others = found["documents"]
    assert (best.id, best.content, best.meta) == ("d7", TEXTS[7], {"_id": "d7", **meta_of(7)})
    assert best.score == pytest.approx(1, abs=1e-4)
    assert [item.score for item in others] == sorted((i.score for i in others), reverse=True)
    assert (found["meta"]["version"], found["meta"]["side"]) == ("v1", "live")
    assert found["meta"]["ids"] == [item.id for item in found["documents"]]
    assert len(found["documents"]) == 3
    retriever.document_store.connection.feedback(
        found["meta"]["search_id"], clicked=found["meta"]["ids"][:1]
    )
    retriever.close()


def test_scores_are_scaled_and_cut(target: str) -> None:
    retriever = ReindexRetriever(ReindexDocumentStore(target), top_k=30)
    raw = [item.score for item in retriever.run(TEXTS[7])["documents"]]
    scaled = [item.score for item in retriever.run(TEXTS[7], scale_score=True)["documents"]]
    np.testing.assert_allclose(scaled, [(score + 1) / 2 for score in raw])
    found = retriever.run(TEXTS[7], score_threshold=raw[2])
    assert len(found["documents"]) == len(found["meta"]["ids"]) == 3
    assert len(retriever.run(TEXTS[7], top_k=2)["documents"]) == 2
    retriever.close()


FILTERS: list[dict[str, Any]] = [
    {"field": "meta.topic", "operator": "==", "value": "lists"},
    {"field": "number", "operator": "in", "value": [3, 4, 99]},
    {"field": "id", "operator": "in", "value": ["d1", "d2"]},
    {"field": "meta.number", "operator": ">=", "value": 27.5},
    {"operator": "AND", "conditions": [
        {"field": "meta.topic", "operator": "==", "value": "sets"},
        {"field": "meta.number", "operator": ">", "value": 4},
        {"field": "meta.number", "operator": "<=", "value": 19},
    ]},
    {"operator": "OR", "conditions": [
        {"field": "meta.topic", "operator": "==", "value": "sets"},
        {"field": "meta.topic", "operator": "==", "value": "files"},
    ]},
    {"operator": "AND", "conditions": [
        {"field": "meta.number", "operator": "==", "value": 1},
        {"field": "meta.number", "operator": "==", "value": 2},
    ]},
    {"field": "meta.topic", "operator": "!=", "value": "lists"},
    {"field": "meta.absent", "operator": "not in", "value": [1]},
    {"field": "meta.absent", "operator": "==", "value": None},
    {"field": "meta.topic", "operator": "!=", "value": None},
    {"operator": "NOT", "conditions": [
        {"field": "meta.topic", "operator": "==", "value": "sets"},
        {"operator": "OR", "conditions": [
            {"field": "meta.number", "operator": ">", "value": 9},
            {"field": "id", "operator": "==", "value": "d1"},
        ]},
    ]},
]  # fmt: skip


@pytest.mark.parametrize("filters", FILTERS)
def test_a_search_filters_as_haystack_itself_does(target: str, run: Run, filters: Any) -> None:
    store = ReindexDocumentStore(target)
    wanted = {item.id for item in store.filter_documents(filters)}
    found = run(ReindexRetriever(store, top_k=30, filters=filters), query=TEXTS[7])
    assert {item.id for item in found["documents"]} == wanted


def test_filters_of_the_run_replace_or_join(target: str) -> None:
    store = ReindexDocumentStore(target)
    topic = {"field": "meta.topic", "operator": "==", "value": "lists"}
    number = {"field": "meta.number", "operator": "<", "value": 6}
    for policy, expected in (("replace", 6), (FilterPolicy.MERGE, 2)):
        retriever = ReindexRetriever(store, filters=topic, filter_policy=policy, top_k=30)
        assert len(retriever.run(TEXTS[0], filters=number)["documents"]) == expected
    with pytest.raises(FilterError, match="compares no dates"):
        retriever.run(TEXTS[0], filters={"field": "meta.x", "operator": ">", "value": "2020"})
    store.close()


def test_a_pipeline_goes_through_yaml(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it would be written by one and read by another."""
    monkeypatch.setenv("REINDEX_API_KEY", "rx-of-nobody")
    store = ReindexDocumentStore(url, api_key=Secret.from_env_var(["MY_KEY", "REINDEX_API_KEY"]))
    pipeline = Pipeline()
    pipeline.add_component("retriever", ReindexRetriever(
        store, top_k=2, filters=FILTERS[0], filter_policy="merge", scale_score=True,
        score_threshold=0.1,
    ))  # fmt: skip
    pipeline.add_component("text", ReindexTextEmbedder(url, model="v1", dimensions=8))
    pipeline.add_component("documents", ReindexDocumentEmbedder(
        url, model="v2", batch_size=5, progress_bar=False, meta_fields_to_embed=["title"],
        embedding_separator=" ", timeout=3.0, api_key=None,
    ))  # fmt: skip
    pipeline.add_component("writer", DocumentWriter(store, policy=DuplicatePolicy.SKIP))
    text = pipeline.dumps()
    assert "rx-of-nobody" not in text
    assert "MY_KEY" in text
    again = Pipeline.loads(text)
    assert again.dumps() == text
    assert again.to_dict() == pipeline.to_dict()
    found = again.run(
        {"retriever": {"query": TEXTS[3]}, "text": {"text": "a"}, "documents": {"documents": []},
         "writer": {"documents": []}},
    )  # fmt: skip
    assert [item.id for item in found["retriever"]["documents"]][:1] == ["d3"]
    assert len(found["text"]["embedding"]) == 8


def test_what_is_written_is_all_that_was_given() -> None:
    embedder = ReindexDocumentEmbedder("http://localhost:8080")
    key = {"type": "env_var", "env_vars": ["REINDEX_API_KEY"], "strict": False}
    assert embedder.to_dict() == {
        "type": "haystack_integrations.components.embedders.reindex.document_embedder."
        "ReindexDocumentEmbedder",
        "init_parameters": {
            "target": "http://localhost:8080", "api_key": key, "timeout": 30.0, "model": None,
            "dimensions": None, "batch_size": 32, "progress_bar": True,
            "meta_fields_to_embed": [], "embedding_separator": "\n",
        },
    }  # fmt: skip
    store = ReindexDocumentStore(Path("somewhere"))
    retriever = ReindexRetriever(store)
    assert retriever.to_dict()["init_parameters"] == {
        "document_store": {
            "type": "haystack_integrations.document_stores.reindex.document_store."
            "ReindexDocumentStore",
            "init_parameters": {"target": "somewhere", "api_key": key, "timeout": 30.0},
        },
        "filters": None, "top_k": 10, "filter_policy": "replace", "scale_score": False,
        "score_threshold": None,
    }  # fmt: skip
    assert ReindexRetriever.from_dict(retriever.to_dict()).to_dict() == retriever.to_dict()


def test_a_token_is_never_written() -> None:
    store = ReindexDocumentStore("http://localhost:1", api_key=Secret.from_token("rx-secret"))
    for component in (store, ReindexRetriever(store)):
        with pytest.raises(ValueError, match="never written") as raised:
            component.to_dict()
        assert "rx-secret" not in str(raised.value)
    assert "rx-secret" not in repr(store)


@pytest.mark.parametrize(
    ("make", "kind", "told"),
    [
        (
            lambda: ReindexTextEmbedder("http://x", api_key=anything("rx-1")),
            TypeError,
            "haystack Secret",
        ),
        (lambda: ReindexTextEmbedder(anything(7)), TypeError, "URL of a reindex server"),
        (lambda: ReindexDocumentStore("http://me:pw@x"), ValueError, "holds a password"),
        (
            lambda: ReindexRetriever(anything("http://x")),
            ValueError,
            "ReindexDocumentStore, got str",
        ),
        (lambda: ReindexRetriever(ReindexDocumentStore("x"), top_k=0), ValueError, "top_k"),
        (lambda: ReindexDocumentEmbedder("x", batch_size=0), ValueError, "batch_size"),
    ],
)
def test_what_cannot_be_is_told_when_it_is_made(make: Any, kind: Any, told: str) -> None:
    with pytest.raises(kind, match=told):
        make()


def test_what_cannot_be_run_is_told(url: str) -> None:
    retriever = ReindexRetriever(ReindexDocumentStore(url))
    with pytest.raises(ValueError, match="connect the text to it, not an embedder"):
        retriever.run([0.1] * DIM)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="top_k"):
        retriever.run("a", top_k=0)
    with pytest.raises(TypeError, match="ReindexDocumentEmbedder"):
        ReindexTextEmbedder(url).run([Document(content="a")])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="ReindexTextEmbedder"):
        ReindexDocumentEmbedder(url).run("a")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'x' has no text"):
        ReindexDocumentEmbedder(url).run([Document(id="x")])


def test_where_no_server_is_warming_up_says_so() -> None:
    for component in (
        ReindexTextEmbedder("http://127.0.0.1:9"),
        ReindexRetriever(ReindexDocumentStore("http://127.0.0.1:9")),
    ):
        with pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:9.*reindex serve"):
            component.warm_up()
