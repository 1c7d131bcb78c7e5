"""LlamaIndex's retriever over reindex: in engines, asynchronously, with callbacks and filters."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, LlamaDebugHandler
from llama_index.core.indices.query.query_transform.base import HyDEQueryTransform
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine, TransformQueryEngine
from llama_index.core.retrievers import BaseRetriever, QueryFusionRetriever
from llama_index.core.schema import (
    IndexNode,
    MetadataMode,
    NodeWithScore,
    QueryBundle,
    TextNode,
)
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters
from llama_index.core.vector_stores.utils import node_to_metadata_dict
from llama_index.vector_stores.qdrant import QdrantVectorStore
from tests.foreign_fixtures import hash_encoder, llamaindex
from tests.llama_index_fixtures import TEXTS, example, listened, run
from tests.plugin_project import Plugged

from llama_index.retrievers.reindex import SEARCH_KEY, VERSION_KEY, ReindexRetriever
from llama_index.retrievers.reindex.nodes import node_of, scored_nodes
from reindex.connection import Connection
from reindex.errors import ConfigError, DataError, FilterRefused, RequestRefused
from reindex.records import Document, Hit
from reindex.retriever import Results

pytest_plugins = ("tests.llama_index_fixtures",)


def store(connection: Connection, *nodes: TextNode) -> None:
    for node in nodes:
        node.metadata["doc"] = "guide"
    connection.upsert(
        Document(node.node_id, node.get_content(MetadataMode.EMBED),
                 {**node_to_metadata_dict(node), "doc_id": "guide"})
        for node in nodes
    )  # fmt: skip


def of_filters(operator: str, values: list[Any], condition: str = "and") -> MetadataFilters:
    filters = [{"key": "doc_id", "operator": operator, "value": value} for value in values]
    return MetadataFilters.model_validate({"filters": filters, "condition": condition})


class TestRetrieving:
    def test_nodes_with_scores_and_the_version(self, target: Any, plug: Plugged) -> None:
        retriever = ReindexRetriever(target, similarity_top_k=3)
        before = retriever.retrieve(TEXTS[2])
        assert before[0].node_id == "d2"
        scores = [item.get_score() for item in before]
        assert scores[0] == pytest.approx(1, abs=1e-4)
        assert scores == sorted(scores, reverse=True)
        assert len(before) == 3
        plug.flip("v2")
        after = run(retriever.aretrieve(TEXTS[2]))
        assert {item.metadata[VERSION_KEY] for item in before} == {"v1"}
        assert {item.metadata[VERSION_KEY] for item in after} == {"v2"}
        assert after[0].node_id == "d2"

    def test_the_default_is_the_framework_s(self, target: Any) -> None:
        assert len(ReindexRetriever(target).retrieve("a")) == 2

    def test_in_a_query_engine(self, target: Any) -> None:
        engine = RetrieverQueryEngine.from_args(
            ReindexRetriever(target, similarity_top_k=1), llm=MockLLM()
        )
        for answer in (engine.query(TEXTS[5]), run(engine.aquery(TEXTS[5]))):
            assert [item.node_id for item in answer.source_nodes] == ["d5"]
            assert answer.metadata is not None
            assert answer.metadata["d5"][VERSION_KEY] == "v1"
            assert TEXTS[5] in str(answer)
            assert "reindex" not in str(answer)  # what the model was shown

    def test_filters(self, target: Any) -> None:
        some = MetadataFilters(filters=[MetadataFilter(key="doc_id", value="d7")])
        retriever = ReindexRetriever(target, 9, some)
        assert [item.node_id for item in retriever.retrieve("a")] == ["d7"]
        assert [item.node_id for item in run(retriever.aretrieve("a"))] == ["d7"]
        retriever.filters = None
        assert len(retriever.retrieve("a")) == 9
        retriever.filters = of_filters("!=", ["d7"], condition="not")
        assert [item.node_id for item in retriever.retrieve("a")] == ["d7"]
        retriever.filters = of_filters("!=", ["d7", "d8", "d9"])
        rest = {f"d{n}" for n in range(len(TEXTS))} - {"d7", "d8", "d9"}
        assert {item.node_id for item in retriever.retrieve("a")} == rest
        cannot = of_filters("text_match", ["d7"])
        with pytest.raises(FilterRefused):
            retriever.filters = cannot
        with pytest.raises(FilterRefused):
            ReindexRetriever(target, filters=cannot)

    def test_feedback(self, target: Any) -> None:
        retriever = ReindexRetriever(target)
        (first, _) = retriever.retrieve(TEXTS[2])
        retriever.client.feedback(first.metadata[SEARCH_KEY], used=[first.node_id])

    def test_a_transform_of_the_query(self, target: Any) -> None:
        retriever = ReindexRetriever(target, similarity_top_k=2)
        several = QueryBundle("a", custom_embedding_strs=[TEXTS[1], TEXTS[8]])
        found = retriever.retrieve(several)
        assert {item.node_id for item in found} == {"d1", "d8"}
        assert [item.node_id for item in run(retriever.aretrieve(several))] == [
            item.node_id for item in found
        ]
        engine = TransformQueryEngine(
            RetrieverQueryEngine.from_args(retriever, llm=MockLLM()),
            HyDEQueryTransform(llm=MockLLM(max_tokens=3)),
        )
        assert len(engine.query(TEXTS[1]).source_nodes) == 2

    def test_a_query_without_text(self, target: Any) -> None:
        retriever = ReindexRetriever(target)
        for bundle in (QueryBundle(""), QueryBundle(" "), QueryBundle("", embedding=[0.1] * 32)):
            with pytest.raises(RequestRefused, match="query with text"):
                retriever.retrieve(bundle)

    def test_an_index_node_leads_on(self, target: Any, over_http: Connection) -> None:
        store(over_http, IndexNode(id_="guide-0", text="about engines", index_id="engines"))
        hidden = TextNode(id_="inner", text="all about engines")
        retriever = ReindexRetriever(target, 1, object_map={"engines": hidden})
        query = "doc: guide\n\nabout engines"
        assert [item.node_id for item in retriever.retrieve(query)] == ["inner"]
        (bare,) = ReindexRetriever(target, 1).retrieve(query)
        assert isinstance(bare.node, IndexNode)
        assert bare.node.index_id == "engines"

    def test_fused_with_nodes_that_are_not_marked(self, target: Any, over_http: Connection) -> None:
        node = TextNode(id_="guide-0", text="about engines")
        store(over_http, node)

        class Docstore(BaseRetriever):
            def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
                return [NodeWithScore(node=node, score=1.0)]

        fused = QueryFusionRetriever(
            [ReindexRetriever(target, 1), Docstore()], num_queries=1, llm=MockLLM(),
            mode="reciprocal_rerank", use_async=False,  # type: ignore[arg-type]
        )  # fmt: skip
        found = fused.retrieve(node.get_content(MetadataMode.EMBED))
        assert [item.node_id for item in found] == ["guide-0"]
        assert found[0].score == pytest.approx(2 / 60)  # first of both lists


class TestSeen:
    def test_callbacks_and_events(self, target: Any) -> None:
        debug = LlamaDebugHandler(print_trace_on_end=False)
        retriever = ReindexRetriever(target, callback_manager=CallbackManager([debug]))
        with listened() as events:
            found = retriever.retrieve(TEXTS[0])
            run(retriever.aretrieve(TEXTS[0]))
        pairs = debug.get_event_pairs(CBEventType.RETRIEVE)
        assert len(pairs) == 2
        assert pairs[0][1].payload == {EventPayload.NODES: found}
        assert len(events.named("RetrievalStartEvent")) == 2
        assert events.named("RetrievalEndEvent")[0].nodes == found


class TestPickling:
    def test_it_is_opened_anew_with_its_key(self, over_http: Connection) -> None:
        some = MetadataFilters(filters=[MetadataFilter(key="doc_id", value="d7")])
        again = pickle.loads(pickle.dumps(ReindexRetriever(over_http, 9, some, key="me")))
        assert [item.node_id for item in again.retrieve("a")] == ["d7"]
        assert (again.similarity_top_k, again.key, again.filters) == (9, "me", some)
        again.client.close()

    @pytest.mark.parametrize("wrong", [0, -1, "4", None])
    def test_a_wrong_k(self, wrong: Any) -> None:
        with pytest.raises(RequestRefused, match="similarity_top_k"):
            ReindexRetriever("http://localhost:1", wrong)

    def test_a_wrong_target(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="URL"):
            ReindexRetriever(tmp_path / "nowhere")


def hit(payload: dict[str, Any]) -> Hit:
    return Hit("own id", 0.5, payload, "own id", "v3")


def test_the_example(over_http: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(__file__).parents[1] / "examples" / "ask.py"
    example(file, over_http.target, TEXTS[3], "doc_id=d3")
    assert capsys.readouterr().out == "1.000  v1  d3\n"


class TestNodes:
    def test_as_the_own_qdrant_store_rebuilds_them(self) -> None:
        foreign = llamaindex(TEXTS, hash_encoder())
        points, _ = foreign.client.scroll(foreign.collection, limit=99)
        own = QdrantVectorStore(foreign.collection, client=foreign.client)
        expected = own.parse_to_query_result(points).nodes or []
        hits = tuple(Hit(str(p.id), 1.0, dict(p.payload or {}), str(p.id)) for p in points)
        found = scored_nodes(Results(hits, "v1", "support--v1"))
        assert len(found) == len(TEXTS)
        for item, wanted in zip(found, expected, strict=True):
            assert node_of(hits[0]) == expected[0]
            assert item.node.hash == wanted.hash
            assert item.node.get_content(MetadataMode.EMBED) == wanted.get_content(
                MetadataMode.EMBED
            )
            assert item.metadata == {**wanted.metadata, VERSION_KEY: "v1"}

    @pytest.mark.parametrize(
        ("payload", "key", "text", "metadata"),
        [
            ({"text": "a", "n": 1}, None, "a", {"n": 1}),
            ({"page_content": "a", "metadata": {"n": 1}}, None, "a", {"n": 1}),
            ({"content": "a", "meta": {"n": 1}}, None, "a", {"n": 1}),
            ({"body": "a", "text": "b"}, "body", "a", {"text": "b"}),
            ({"_node_content": "{", "text": "a", "n": 1}, None, "a", {"n": 1}),
        ],
    )
    def test_other_payloads_are_nodes_too(
        self, payload: dict[str, Any], key: str | None, text: str, metadata: dict[str, Any]
    ) -> None:
        node = node_of(hit(payload), key)
        assert (node.node_id, node.get_content()) == ("own id", text)
        assert metadata.items() <= node.metadata.items()
        assert "_node_content" not in node.metadata

    def test_a_node_within_another_framework_s_payload(self) -> None:
        node = TextNode(id_="x", text="a", metadata={"n": 1})
        payload = {"page_content": "n: 1\n\na", "metadata": node_to_metadata_dict(node)}
        assert node_of(hit(payload)) == node

    def test_a_payload_without_text(self) -> None:
        with pytest.raises(DataError, match=r"'own id'.*\['chunk'\].*text_key"):
            node_of(hit({"chunk": "a"}))
        with pytest.raises(DataError, match="under body"):
            node_of(hit({"text": "a"}), "body")
