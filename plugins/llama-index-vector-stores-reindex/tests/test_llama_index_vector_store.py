"""LlamaIndex's index, pipeline and engines over ReindexVectorStore, in process and over HTTP."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Document, StorageContext, VectorStoreIndex
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.schema import MetadataMode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores.types import (
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)
from pydantic import ValidationError
from tests.hash_project import HashWorkspace
from tests.http_fixtures import listening
from tests.llama_index_fixtures import (
    TEXTS,
    as_it_was,
    example,
    run,
    splitter,
)
from tests.plugin_project import Plugged, plugged

from llama_index.retrievers.reindex import VERSION_KEY
from llama_index.vector_stores.reindex import ReindexVectorStore
from reindex.connection import Connection
from reindex.corpus.frameworks import StoredText, detect
from reindex.errors import AccessDenied, FilterRefused, RequestRefused, WriteRefused
from reindex.registry.api_keys import ApiKeys
from reindex.server.app import make_app

pytest_plugins = ("tests.llama_index_fixtures",)


@pytest.fixture
def store(target: Any) -> ReindexVectorStore:
    return ReindexVectorStore(target)


def nodes(count: int = 3, source: str = "guide") -> list[TextNode]:
    made = [
        TextNode(
            id_=f"{source}-{n}",
            text=f"{source}: step {n}",
            metadata={"topic": f"topic {n % 2}", "number": n, "path": f"/tmp/{n}"},
            excluded_embed_metadata_keys=["path"],
            excluded_llm_metadata_keys=["path", "number"],
        )
        for n in range(count)
    ]
    for node in made:
        node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=source)
    return made


def asked(text: str, k: int = 1, **more: Any) -> VectorStoreQuery:
    return VectorStoreQuery(query_str=text, similarity_top_k=k, **more)


def index_over(store: ReindexVectorStore) -> VectorStoreIndex:
    return VectorStoreIndex.from_vector_store(store, embed_model=store.embed_model)


class TestIndex:
    def test_nodes_go_in_and_come_out_as_they_were(self, store: ReindexVectorStore) -> None:
        index = index_over(store)
        given = nodes()
        index.insert_nodes(given)
        wanted = given[1]
        (found,) = index.as_retriever(similarity_top_k=1).retrieve(
            wanted.get_content(MetadataMode.EMBED)
        )
        assert found.score == pytest.approx(1, abs=1e-4)
        assert found.metadata == {**wanted.metadata, VERSION_KEY: "v1"} | {
            key: value for key, value in found.metadata.items() if key == "reindex_search_id"
        }
        for attribute in ("node_id", "text", "relationships", "hash", "ref_doc_id"):
            assert getattr(found.node, attribute) == getattr(wanted, attribute)
        for mode in (MetadataMode.EMBED, MetadataMode.LLM, MetadataMode.NONE):
            assert found.node.get_content(mode) == wanted.get_content(mode)

    def test_a_flip_is_followed(self, store: ReindexVectorStore, plug: Plugged) -> None:
        index = index_over(store)
        index.insert_nodes(nodes())
        retriever = index.as_retriever(similarity_top_k=1)
        text = nodes()[2].get_content(MetadataMode.EMBED)
        before = retriever.retrieve(text)
        plug.flip("v2")
        after = retriever.retrieve(text)
        assert [item.metadata[VERSION_KEY] for item in (*before, *after)] == ["v1", "v2"]
        assert [item.node_id for item in (*before, *after)] == ["guide-2", "guide-2"]
        assert after[0].score == pytest.approx(1, abs=1e-4)

    def test_found_nodes_can_be_stored_again(self, store: ReindexVectorStore) -> None:
        index = index_over(store)
        index.insert_nodes(nodes())
        text = nodes()[0].get_content(MetadataMode.EMBED)
        (found,) = index.as_retriever(similarity_top_k=1).retrieve(text)
        index.insert_nodes([found.node])
        payload = store.client.search(text, 1)[0].payload
        assert "reindex" not in str(payload)

    def test_documents_are_inserted_updated_and_deleted(self, store: ReindexVectorStore) -> None:
        context = StorageContext.from_defaults(vector_store=store)
        index = VectorStoreIndex.from_documents(
            [Document(text="One. " * 300, id_="doc"), Document(text="Other.", id_="other")],
            storage_context=context,
            embed_model=store.embed_model,
            transformations=[splitter()],
        )
        assert len(store.client.find({"doc_id": "doc"})) > 3
        index.update_ref_doc(Document(text="Two.", id_="doc"))
        (left,) = store.client.find({"doc_id": "doc"})
        (found,) = index.as_retriever(similarity_top_k=1).retrieve("Two.")
        assert (found.node_id, found.text) == (left, "Two.")
        index.delete_ref_doc("doc")
        assert store.client.find({"doc_id": "doc"}) == []
        assert len(store.client.find({"doc_id": "other"})) == 1

    def test_a_query_engine_answers(self, store: ReindexVectorStore) -> None:
        index = index_over(store)
        index.insert_nodes(nodes())
        engine = index.as_query_engine(llm=MockLLM(), similarity_top_k=2)
        text = nodes()[0].get_content(MetadataMode.EMBED)
        for answer in (engine.query(text), run(engine.aquery(text))):
            assert answer.source_nodes[0].node_id == "guide-0"
            assert answer.metadata is not None
            assert answer.metadata["guide-0"][VERSION_KEY] == "v1"
            assert "guide: step 0" in str(answer)
            assert "reindex" not in str(answer)  # what the model was shown

    def test_asynchronously(self, store: ReindexVectorStore) -> None:
        index = index_over(store)

        async def work() -> list[str]:
            await index.ainsert_nodes(nodes())
            found = await index.as_retriever(similarity_top_k=1).aretrieve(
                nodes()[1].get_content(MetadataMode.EMBED)
            )
            await index.adelete_nodes(["guide-0"])
            await store.adelete_nodes(filters=equals("number", 2))
            await index.adelete_ref_doc("guide")
            return [item.node_id for item in found]

        assert run(work()) == ["guide-1"]
        assert store.client.find({"doc_id": "guide"}) == []

    def test_a_pipeline_with_upserts(self, store: ReindexVectorStore) -> None:
        pipeline = IngestionPipeline(
            transformations=[splitter(), store.embed_model],
            vector_store=store,
            docstore=SimpleDocumentStore(),
            docstore_strategy=DocstoreStrategy.UPSERTS,
        )
        pipeline.run(documents=[Document(text="First.", id_="doc")])
        pipeline.run(documents=[Document(text="Second.", id_="doc")])
        (left,) = store.client.find({"doc_id": "doc"})
        assert store.query(asked("Second.")).ids == [left]


def equals(key: str, value: Any) -> MetadataFilters:
    return MetadataFilters(filters=[MetadataFilter(key=key, value=value)])


class TestStore:
    def test_filters_and_documents(self, store: ReindexVectorStore) -> None:
        store.add([*nodes(), *nodes(source="book")])
        assert set(store.query(asked("x", 9, filters=equals("topic", "topic 0"))).ids or []) == {
            "guide-0", "guide-2", "book-0", "book-2",
        }  # fmt: skip
        both = asked("x", 9, filters=equals("number", 1), doc_ids=["book"])
        assert store.query(both).ids == ["book-1"]
        either = MetadataFilters.model_validate(
            {
                "filters": [
                    {"key": "number", "operator": "<", "value": 1},
                    {"key": "topic", "operator": "nin", "value": ["topic 0"]},
                ],
                "condition": "or",
            }
        )
        assert set(store.query(asked("x", 9, filters=either, doc_ids=["book"])).ids or []) == {
            "book-0", "book-1",
        }  # fmt: skip

    def test_more_nodes_than_are_deleted_at_once(
        self, store: ReindexVectorStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("llama_index.vector_stores.reindex.base._AT_ONCE", 2)
        store.add(nodes(5))
        store.delete("guide")
        assert store.client.find({"doc_id": "guide"}) == []
        store.delete("guide")
        assert len(store.client.find({"doc_id": [f"d{n}" for n in range(12)]})) == len(TEXTS)

    def test_nodes_are_deleted_by_id_or_filter(self, store: ReindexVectorStore) -> None:
        store.add(nodes(5))
        store.delete_nodes(["guide-0", "nowhere"])
        store.delete_nodes(filters=equals("number", 3))
        assert set(store.client.find({"doc_id": "guide"})) == {"guide-1", "guide-2", "guide-4"}
        store.delete_nodes(["guide-1", "guide-2"], equals("number", 1))
        assert set(store.client.find({"doc_id": "guide"})) == {"guide-2", "guide-4"}
        store.delete_nodes([])
        with pytest.raises(RequestRefused, match="got neither"):
            store.delete_nodes()
        assert len(store.client.find({"doc_id": "guide"})) == 2
        run(store.adelete_nodes(["guide-2", "guide-4"], equals("number", 4)))
        assert store.client.find({"doc_id": "guide"}) == ["guide-2"]

    def test_nodes_are_read_by_id_or_filter(self, store: ReindexVectorStore) -> None:
        given = nodes(4)
        store.add(given)
        assert store.get_nodes(["guide-2", "nowhere", "guide-0"]) == [given[2], given[0]]
        assert run(store.aget_nodes(["guide-1"])) == [given[1]]
        (found,) = store.get_nodes(filters=equals("number", 3))
        assert found == given[3]
        assert run(store.aget_nodes(["guide-0", "guide-2"], equals("number", 2))) == [given[2]]
        assert store.get_nodes([]) == store.get_nodes(filters=equals("number", 9)) == []
        with pytest.raises(RequestRefused, match="got neither"):
            store.get_nodes()

    def test_what_is_live_is_not_cleared(self, store: ReindexVectorStore) -> None:
        for clear in (store.clear, lambda: run(store.aclear())):
            with pytest.raises(RequestRefused, match="not emptied"):
                clear()

    @pytest.mark.parametrize(
        ("query", "error", "named"),
        [
            (VectorStoreQuery(query_embedding=[0.1] * 32), RequestRefused, "query with text"),
            (asked("x", mode=VectorStoreQueryMode.HYBRID), RequestRefused, "'hybrid'"),
            (asked("x", mode=VectorStoreQueryMode.MMR), RequestRefused, "'mmr'"),
            (asked("x", node_ids=["a"]), RequestRefused, "node ids"),
            (
                asked("x", filters=MetadataFilters(filters=[
                    MetadataFilter(key="a", operator=FilterOperator.TEXT_MATCH, value="b")])),
                FilterRefused, "'a' text_match",
            ),
        ],
    )  # fmt: skip
    def test_what_cannot_be_searched_is_refused(
        self, store: ReindexVectorStore, query: VectorStoreQuery, error: type[Exception], named: str
    ) -> None:
        with pytest.raises(error, match=named):
            store.query(query)
        with pytest.raises(error, match=named):
            run(store.aquery(query))

    def test_a_node_without_text_is_refused(self, store: ReindexVectorStore) -> None:
        with pytest.raises(WriteRefused, match="blank"):
            store.add([*nodes(1), TextNode(id_="empty", text=" ")])
        assert store.client.find({"doc_id": "guide"}) == []

    def test_rows_of_files_are_nodes_too(self, store: ReindexVectorStore) -> None:
        found = store.query(asked(TEXTS[4]))
        assert found.nodes is not None
        (node,) = found.nodes
        assert (node.node_id, node.get_content()) == ("d4", TEXTS[4])
        assert node.metadata[VERSION_KEY] == "v1"

    def test_it_survives_serialisation_without_its_key(self, project: HashWorkspace) -> None:
        store = ReindexVectorStore("http://user:secret@localhost:1/v1", api_key="hidden", timeout=3)
        again = ReindexVectorStore.from_dict(store.to_dict())
        assert (again.target, again.timeout) == ("http://localhost:1", 3)
        assert again.api_key is None
        for shown in (store.to_json(), repr(store), str(store), repr(store.client)):
            assert "hidden" not in shown
            assert "secret" not in shown
        local = ReindexVectorStore(project)
        assert local.to_dict()["target"] == str(project.settings.root)

    def test_it_is_pickled_with_its_key(self, plug: Plugged, over_http: Connection) -> None:
        with as_it_was(plug, over_http):
            store = pickle.loads(pickle.dumps(ReindexVectorStore(over_http)))
            assert store.client is not over_http
            store.add(nodes(1))
            store.client.close()
            assert over_http.find({"doc_id": "guide"}) == ["guide-0"]

    def test_what_it_does_not_have_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="collection_name"):
            ReindexVectorStore("http://localhost:1", collection_name="docs")

    def test_without_a_key_it_only_reads(self, plug: Plugged) -> None:
        store = ReindexVectorStore(plug.url)
        assert store.query(asked(TEXTS[1])).ids == ["d1"]
        with pytest.raises(AccessDenied, match="scope 'write'"):
            store.add(nodes(1))


def test_a_project_with_other_payloads_is_warned_of_once(tmp_path: Path) -> None:
    with plugged(tmp_path, texts=TEXTS[:2]) as plug:
        for store in (
            ReindexVectorStore(plug.project),
            ReindexVectorStore(plug.url, api_key=plug.key),
        ):
            with pytest.warns(UserWarning, match="source.payload is 'plain'"):
                store.add(nodes(1))
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)
                store.add(nodes(1))
            (found,) = store.query(asked(nodes()[0].get_content(MetadataMode.EMBED))).nodes or []
            assert (found.node_id, found.get_content()) == ("guide-0", "guide: step 0")
        only_writes = ApiKeys(plug.project.registry).add("writer", ["write"], "nobody")
        closed = plug.project.settings.server.model_copy(update={"open_reading": False})
        plug.project.settings = plug.project.settings.model_copy(update={"server": closed})
        with listening(make_app(plug.project)) as url, warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            ReindexVectorStore(url, api_key=only_writes).add(nodes(1))


def test_what_is_stored_is_what_the_own_store_s_readers_and_adopt_understand(
    project: HashWorkspace, store: ReindexVectorStore
) -> None:
    given = nodes(4)
    store.add(given)
    stored = [
        project.store.retrieve("docs--v1", [hit.point_id], with_payload=True)[hit.point_id]
        for hit in store.client.search("x", 9, where={"doc_id": "guide"})
    ]
    ways = detect([point.payload for point in stored])
    assert (ways[0].text, ways[0].share) == (StoredText("llamaindex"), 1)
    embedded = {node.get_content(MetadataMode.EMBED) for node in given}
    assert {ways[0].text(point.payload) for point in stored} == embedded


def test_the_example(
    plug: Plugged, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REINDEX_API_KEY", plug.key)
    example(Path(__file__).parents[1] / "examples" / "index_documents.py", plug.url)
    printed = capsys.readouterr().out.splitlines()
    assert [line[:11] for line in printed] == ["1.000  v1  "] * 3
    assert printed[2].endswith("A lease is a collection with its encoder.")
