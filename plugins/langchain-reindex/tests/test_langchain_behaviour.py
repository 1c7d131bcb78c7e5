"""What users of LangChain and of `QdrantVectorStore` expect, and what a flip changes."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore
from qdrant_client import models
from tests.hash_project import encoder_of
from tests.plugin_project import PLUGIN_TEXTS, Plugged, plugged

from langchain_reindex import ReindexEmbeddings, ReindexRetriever, ReindexVectorStore
from langchain_reindex.documents import of_payload
from reindex import errors

TOPICS = ["arrays", "lists", "arrays"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    with plugged(tmp_path_factory.mktemp("langchain"), "langchain") as served:
        yield served


@pytest.fixture(scope="module", params=["http", "local"])
def store(request: pytest.FixtureRequest, served: Plugged) -> ReindexVectorStore:
    target: Any = served.url if request.param == "http" else served.project
    return ReindexVectorStore(target, api_key=served.key)


@pytest.fixture
def topics(store: ReindexVectorStore) -> Iterator[list[str]]:
    """Three documents with metadata; their ids."""
    metadatas = [{"topic": topic, "year": 2020 + n} for n, topic in enumerate(TOPICS)]
    ids = store.add_texts(["one", "two", "three"], metadatas)
    yield ids
    store.delete(ids)


class TestSearching:
    def test_scores_are_cosines_best_first(self, store: ReindexVectorStore) -> None:
        found = store.similarity_search_with_score(PLUGIN_TEXTS[4], k=3)
        assert (found[0][0].page_content, found[0][0].id) == (PLUGIN_TEXTS[4], "d4")
        assert found[0][1] == pytest.approx(1)
        assert [score for _, score in found] == sorted((s for _, s in found), reverse=True)
        relevance = store.similarity_search_with_relevance_scores(PLUGIN_TEXTS[4], k=3)
        assert [score for _, score in relevance] == [
            pytest.approx((score + 1) / 2) for _, score in found
        ]

    async def test_asynchronously_it_is_the_same(self, store: ReindexVectorStore) -> None:
        asked: dict[str, Any] = {"k": 5, "offset": 1, "score_threshold": 0.0}
        one = store.similarity_search_with_score(PLUGIN_TEXTS[4], **asked)
        assert await store.asimilarity_search_with_score(PLUGIN_TEXTS[4], **asked) == one
        documents = [document for document, _ in one]
        assert await store.asimilarity_search(PLUGIN_TEXTS[4], **asked) == documents
        ids = await store.aadd_texts(["an asynchronous text"])
        assert (await store.aget_by_ids(ids))[0].page_content == "an asynchronous text"
        assert await store.adelete(ids)
        assert await store.aget_by_ids(ids) == []

    def test_offset_and_threshold(self, store: ReindexVectorStore) -> None:
        first = store.similarity_search(PLUGIN_TEXTS[0], k=6)
        assert store.similarity_search(PLUGIN_TEXTS[0], k=3, offset=3) == first[3:]
        assert len(store.similarity_search(PLUGIN_TEXTS[0], k=6, score_threshold=0.99)) == 1

    @pytest.mark.parametrize(
        "filter",
        [
            {"metadata.topic": "arrays"},
            {"metadata.topic": ["arrays", "none"]},
            {"metadata.topic": "arrays", "metadata.year": {"gte": 2020, "lt": 2030}},
            models.Filter(must=[models.FieldCondition(
                key="metadata.topic", match=models.MatchValue(value="arrays"))]),
            models.Filter(must=models.FieldCondition(
                key="metadata.topic", match=models.MatchAny(any=["arrays"]))),
            models.Filter(
                should=[
                    models.FieldCondition(key="metadata.year", match=models.MatchValue(value=year))
                    for year in (2020, 2022)
                ],
                must=[
                    models.Filter(must=[models.FieldCondition(
                        key="metadata.topic", match=models.MatchValue(value="arrays"))]),
                ],
            ),
            {"must": [{"key": "metadata.year", "range": {"gte": 2020}},
                      {"key": "metadata.year", "range": {"lt": 2030}},
                      {"key": "metadata.topic", "match": {"value": "arrays"}}]},
            {"metadata.year": {"gte": 2020}, "$not": {"metadata.topic": TOPICS[1]}},
            models.Filter(
                must_not=[
                    models.IsEmptyCondition(is_empty=models.PayloadField(key="metadata.topic")),
                    models.FieldCondition(
                        key="metadata.topic", match=models.MatchValue(value=TOPICS[1])),
                ]
            ),
            models.Filter(
                should=[
                    models.FieldCondition(key="metadata.year", range=models.Range(lt=2021)),
                    models.Filter(
                        must=[models.FieldCondition(
                            key="metadata.topic", match=models.MatchValue(value="arrays"))],
                        must_not=models.FieldCondition(
                            key="metadata.year", match=models.MatchAny(any=[2020, 2021])),
                    ),
                ],
            ),
            models.Filter(must=[models.FieldCondition(
                key="metadata.topic", match=match) for match in (
                    models.MatchValue(value="arrays"), models.MatchAny(any=["arrays", "none"]))]),
        ],
    )  # fmt: skip
    def test_filters(self, store: ReindexVectorStore, topics: list[str], filter: Any) -> None:
        found = store.similarity_search("one", k=10, filter=filter)
        assert {item.id for item in found} == {topics[0], topics[2]}
        assert found[0].metadata == {"topic": "arrays", "year": 2020}

    @pytest.mark.parametrize(
        ("filter", "named"),
        [
            (models.Filter(must=[models.HasIdCondition(has_id=[1])]), "has_id"),
            (models.Filter(must=[models.FieldCondition(
                key="a", match=models.MatchText(text="b"))]), "text"),
            (models.Filter(must_not=[models.FieldCondition(
                key="a", match=models.MatchExcept(**{"except": ["b"]}))]), "except"),
            (models.Filter(must_not=[models.Filter(must=[])]), "cannot be translated"),
            (models.Filter(min_should=models.MinShould(conditions=[], min_count=1)), "min_should"),
            (models.Filter(must=[models.FieldCondition(key="a", range=models.DatetimeRange(
                gte=datetime.datetime(2020, 1, 1)))]), "numbers"),
            ("metadata.topic", "mapping"),
        ],
    )  # fmt: skip
    def test_filters_that_say_more_are_refused(
        self, store: ReindexVectorStore, filter: Any, named: str
    ) -> None:
        with pytest.raises(errors.FilterRefused, match=named):
            store.similarity_search("one", filter=filter)

    def test_what_has_no_meaning_here_is_refused(self, store: ReindexVectorStore) -> None:
        with pytest.raises(TypeError, match="search_params"):
            store.similarity_search("one", search_params=models.SearchParams(exact=True))
        with pytest.raises(NotImplementedError, match="which version"):
            store.similarity_search_by_vector([0.1] * 32)
        with pytest.raises(NotImplementedError, match="which version"):
            store.max_marginal_relevance_search_by_vector([0.1] * 32)

    def test_what_differs_comes_first_by_mmr(self, store: ReindexVectorStore) -> None:
        ids = store.add_texts(["the same text"] * 3 + ["quite another one"])
        same = store.similarity_search("the same text", k=3)
        assert {item.page_content for item in same} == {"the same text"}
        varied = store.max_marginal_relevance_search(
            "the same text", k=2, fetch_k=30, lambda_mult=0.3
        )
        assert varied[0].page_content == "the same text"
        assert varied[1].page_content != "the same text"
        one_text = store.max_marginal_relevance_search(
            "the same text", k=3, fetch_k=30, lambda_mult=1.0
        )
        assert {item.page_content for item in one_text} == {"the same text"}
        store.delete(ids)

    async def test_retrievers_of_the_store(self, store: ReindexVectorStore) -> None:
        for kind in ("similarity", "mmr", "similarity_score_threshold"):
            kwargs: dict[str, Any] = {"k": 2}
            if kind == "similarity_score_threshold":
                kwargs["score_threshold"] = 0.5
            retriever = store.as_retriever(search_type=kind, search_kwargs=kwargs)
            assert retriever.invoke(PLUGIN_TEXTS[5])[0].id == "d5"
            assert (await retriever.ainvoke(PLUGIN_TEXTS[5]))[0].id == "d5"


class TestWriting:
    def test_ids_are_kept_and_their_forms_understood(self, store: ReindexVectorStore) -> None:
        plain = uuid.uuid4()
        ids = store.add_documents(
            [Document(page_content="a", id="mine"), Document(page_content="b")]
        )
        assert ids[0] == "mine"
        assert str(uuid.UUID(ids[1])) == ids[1]
        assert store.add_texts(["c"], ids=[plain.hex]) == [plain.hex]
        assert store.get_by_ids([str(plain)])[0].page_content == "c"
        assert store.add_texts(["d"], ids=[7]) == ["7"]
        assert store.get_by_ids([7])[0].page_content == "d"
        assert store.delete([*ids, plain.hex, 7])
        assert store.get_by_ids([*ids, plain.hex, 7]) == []

    def test_metadata_come_back(self, store: ReindexVectorStore) -> None:
        """Also a field that is named like the project's text field, and what is not JSON."""
        metadata = {"text": "a caption", "at": datetime.date(2024, 2, 3), "path": Path("/a/b")}
        ids = store.add_texts(["the content"], [metadata])
        [found] = store.get_by_ids(ids)
        assert (found.page_content, found.metadata) == (
            "the content",
            {"text": "a caption", "at": "2024-02-03", "path": "/a/b"},
        )
        store.delete(ids)

    def test_wrong_input(self, store: ReindexVectorStore) -> None:
        with pytest.raises(ValueError, match="as many"):
            store.add_texts(["a", "b"], ids=["1"])
        with pytest.raises(ValueError, match="Expected ids"):
            store.delete()
        with pytest.raises(errors.WriteRefused, match="blank"):
            store.add_texts(["  "])
        with pytest.raises(ValueError, match="embedding=None"):
            ReindexVectorStore.from_texts(["a"], DeterministicFakeEmbedding(size=3))

    def test_from_documents(self, served: Plugged) -> None:
        store = ReindexVectorStore.from_documents(
            [Document(page_content="from documents", id="f")], None,  # type: ignore[arg-type]
            target=served.url, api_key=served.key,
        )  # fmt: skip
        assert store.similarity_search("from documents", k=1)[0].id == "f"
        store.delete(["f"])

    def test_a_key_is_needed(self, served: Plugged) -> None:
        store = ReindexVectorStore(served.url)
        assert store.similarity_search(PLUGIN_TEXTS[1], k=1)[0].id == "d1"
        with pytest.raises(errors.AccessDenied, match="reindex keys add"):
            store.add_texts(["a"])


class TestVersions:
    @pytest.fixture(autouse=True)
    def back(self, served: Plugged) -> Iterator[None]:
        yield
        if served.project.status().live_version != "v1":
            served.flip("v1")

    def test_the_retriever_follows_a_flip(self, served: Plugged) -> None:
        retriever = ReindexRetriever(target=served.url, k=2)
        [one, _] = retriever.invoke(PLUGIN_TEXTS[3])
        assert one.page_content == PLUGIN_TEXTS[3]
        assert (one.metadata["_version"], one.metadata["_collection_name"]) == ("v1", "docs--v1")
        assert one.metadata["_score"] == pytest.approx(1)
        retriever.connection.feedback(one.metadata["_search_id"], clicked=[one.metadata["_id"]])
        served.flip("v2")
        [two, _] = retriever.invoke(PLUGIN_TEXTS[3])
        assert (two.id, two.metadata["_version"]) == ("d3", "v2")
        assert two.metadata["_score"] == pytest.approx(1)
        annotated = ReindexVectorStore(served.url, annotate=True)
        assert annotated.similarity_search(PLUGIN_TEXTS[3], k=1)[0].metadata["_version"] == "v2"

    async def test_embeddings_stay_in_one_space(self, served: Plugged) -> None:
        """An index in memory, filled before a flip, is searched by the same version after it."""
        embeddings = ReindexEmbeddings(target=served.url)
        assert not embeddings.version
        index = InMemoryVectorStore(embeddings)
        index.add_texts(list(PLUGIN_TEXTS))
        served.flip("v2")
        found = index.similarity_search_with_score(PLUGIN_TEXTS[8], k=1)
        assert (found[0][0].page_content, embeddings.version) == (PLUGIN_TEXTS[8], "v1")
        assert found[0][1] == pytest.approx(1)
        assert (await embeddings.aembed_query("a")) == embeddings.embed_query("a")
        later = ReindexEmbeddings(target=served.url)
        np.testing.assert_allclose(
            later.embed_query("a"), encoder_of("v2").encode_queries(["a"])[0]
        )
        assert ReindexEmbeddings(target=served.url, model="v1", dimensions=8).embed_documents(
            ["a"]
        ) == [pytest.approx(first_dims("v1", "a", 8))]
        assert embeddings.embed_documents([]) == []

    def test_every_option_can_be_given_to_invoke(self, served: Plugged) -> None:
        retriever = ReindexRetriever(target=served.url, filter={"metadata.nothing": 1})
        assert retriever.invoke(PLUGIN_TEXTS[1]) == []
        found = retriever.invoke(PLUGIN_TEXTS[1], filter=None, k=9, score_threshold=0.99, key="me")
        assert [item.id for item in found] == ["d1"]
        with pytest.raises(TypeError, match="top_k"):
            retriever.invoke("a", top_k=3)

    def test_a_key_is_no_part_of_what_is_shown(self) -> None:
        retriever = ReindexRetriever(target="http://localhost:1", api_key="a secret")
        assert "a secret" not in repr(retriever)
        with pytest.raises(errors.ServerUnreachable, match="reindex serve"):
            retriever.invoke("a")


def first_dims(version: str, text: str, dims: int) -> list[float]:
    vector = encoder_of(version).encode_queries([text])[0][:dims]
    return [float(value) for value in vector / np.linalg.norm(vector)]


@pytest.mark.parametrize(
    ("payload", "key", "content", "metadata"),
    [
        ({"page_content": "a", "metadata": {"n": 1}}, None, "a", {"n": 1}),
        ({"page_content": "a", "metadata": None}, None, "a", {}),
        ({"id": "x", "content": "a", "meta": {"n": 1}}, None, "a", {"n": 1}),
        ({"_node_content": '{"text": "a", "metadata": {"n": 1}}', "n": 1}, None, "n: 1\n\na",
         {"n": 1}),
        ({"text": "a", "title": "t"}, None, "a", {"title": "t"}),
        ({"body": "a", "text": "b"}, "body", "a", {"text": "b"}),
        ({"n": 1}, None, "", {"n": 1}),
    ],
)  # fmt: skip
def test_every_layout_makes_a_document(
    payload: dict[str, Any], key: str | None, content: str, metadata: dict[str, Any]
) -> None:
    document = of_payload(7, payload, key)
    assert document == Document(id="7", page_content=content, metadata=metadata)
