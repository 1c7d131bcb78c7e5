"""LlamaIndex's embedding over reindex, in process and over HTTP."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, LlamaDebugHandler
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.storage.kvstore import SimpleKVStore
from pydantic import ValidationError
from tests.hash_project import DIM, HashWorkspace, encoder_of
from tests.llama_index_fixtures import (
    TEXTS,
    as_it_was,
    example,
    listened,
    run,
    splitter,
)
from tests.plugin_project import Plugged

from llama_index.embeddings.reindex import LIVE, ReindexEmbedding
from reindex.connection import Connection, Embedded
from reindex.connection.local import LocalConnection
from reindex.encoder import truncate
from reindex.errors import ConfigError, RequestRefused, ServerUnreachable, UnknownVersion

pytest_plugins = ("tests.llama_index_fixtures",)


def expected(version: str, texts: Sequence[str]) -> Any:
    return pytest.approx(encoder_of(version).encode_documents(texts), abs=1e-6)


class TestVectors:
    def test_every_door_gives_the_version_s_vectors(self, target: Any) -> None:
        model = ReindexEmbedding(target, embed_batch_size=5)
        one, all_of_them = expected("v1", TEXTS[:1]), expected("v1", TEXTS)
        assert [model.get_query_embedding(TEXTS[0])] == one
        assert [model.get_text_embedding(TEXTS[0])] == one
        assert [run(model.aget_query_embedding(TEXTS[0]))] == one
        assert [run(model.aget_text_embedding(TEXTS[0]))] == one
        assert model.get_text_embedding_batch(TEXTS) == all_of_them
        assert run(model.aget_text_embedding_batch(TEXTS)) == all_of_them
        assert model.get_text_embedding_batch([]) == []
        assert type(model.get_query_embedding("a")[0]) is float

    def test_dimensions_are_cut_and_renormalised(self, target: Any) -> None:
        model = ReindexEmbedding(target, dimensions=8)
        cut = truncate(encoder_of("v1").encode_queries(["a"]), 8)
        assert [model.get_query_embedding("a")] == pytest.approx(cut, abs=1e-6)
        with pytest.raises(RequestRefused, match=f"v1 has {DIM}"):
            ReindexEmbedding(target, dimensions=999).get_query_embedding("a")

    def test_queries_and_texts_have_their_prompts(
        self, project: HashWorkspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kinds = []

        def embed(self: Connection, texts: Sequence[str], **how: Any) -> Embedded:
            kinds.append(how["kind"])
            return Embedded(np.ones((len(texts), 2), np.float32), "v1")

        monkeypatch.setattr(LocalConnection, "embed", embed)
        model = ReindexEmbedding(project)
        model.get_query_embedding("a")
        model.get_text_embedding("a")
        model.get_text_embedding_batch(["a", "b"])
        run(model.aget_query_embedding("a"))
        run(model.aget_text_embedding_batch(["a", "b"]))
        assert kinds == ["query", "document", "document", "query", "document"]


class TestOneVersion:
    def test_it_keeps_to_the_first_version(self, target: Any, plug: Plugged) -> None:
        model = ReindexEmbedding(target)
        assert model.model_name == LIVE
        model.get_text_embedding("a")
        assert model.model_name == "v1"
        plug.flip("v2")
        assert [model.get_query_embedding("a")] == expected("v1", ["a"])
        assert [run(model.aget_query_embedding("a"))] == expected("v1", ["a"])
        assert [ReindexEmbedding(target).get_query_embedding("a")] == expected("v2", ["a"])

    def test_first_requests_across_a_flip_agree(
        self, project: HashWorkspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of many at once, some are answered by what is live before, some by what is after."""
        real, versions = LocalConnection.embed, iter(["v1", "v2", "v2"])

        def embed(self: Any, texts: Any, **how: Any) -> Embedded:
            model = how.pop("model") or next(versions)
            return real(self, texts, model=model, **how)

        monkeypatch.setattr(LocalConnection, "embed", embed)
        model = ReindexEmbedding(project, embed_batch_size=4)
        found = run(model.aget_text_embedding_batch(TEXTS))
        version = model.model_name
        assert version in ("v1", "v2")
        assert found == expected(version, TEXTS)

    def test_a_version_by_name(self, target: Any) -> None:
        model = ReindexEmbedding(target, "v2")
        assert [model.get_query_embedding("a")] == expected("v2", ["a"])
        assert [ReindexEmbedding(target, "docs").get_query_embedding("a")] == expected("v1", ["a"])

    def test_an_unknown_version(self, target: Any) -> None:
        with pytest.raises(UnknownVersion, match="v9"):
            ReindexEmbedding(target, "v9").get_query_embedding("a")

    def test_a_cache_needs_a_version(self, target: Any) -> None:
        with pytest.raises(ConfigError, match="Name the version"):
            ReindexEmbedding(target, embeddings_cache=SimpleKVStore())
        model = ReindexEmbedding(target, "v2", embeddings_cache=SimpleKVStore())
        assert model.get_query_embedding("a") == model.get_query_embedding("a")


class TestInTheFramework:
    def test_an_index_of_its_own(self, target: Any) -> None:
        index = VectorStoreIndex.from_documents(
            [Document(text=text) for text in TEXTS],
            embed_model=ReindexEmbedding(target),
            transformations=[splitter()],
        )
        (found,) = index.as_retriever(similarity_top_k=1).retrieve(TEXTS[3])
        assert found.text == TEXTS[3]

    @pytest.mark.slow
    def test_a_pipeline_in_other_processes(self, over_http: Connection) -> None:
        pipeline = IngestionPipeline(
            transformations=[ReindexEmbedding(over_http, "v2")], disable_cache=True
        )
        documents = [Document(text=text) for text in TEXTS]
        nodes = pipeline.run(documents=documents, num_workers=2)
        assert [node.embedding for node in nodes] == expected("v2", TEXTS)

    def test_callbacks_and_events(self, target: Any) -> None:
        debug = LlamaDebugHandler(print_trace_on_end=False)
        model = ReindexEmbedding(
            target, callback_manager=CallbackManager([debug]), embed_batch_size=8
        )
        with listened() as events:
            model.get_text_embedding_batch(TEXTS)
        pairs = debug.get_event_pairs(CBEventType.EMBEDDING)
        chunks = [end.payload[EventPayload.CHUNKS] for _, end in pairs if end.payload]
        assert chunks == [TEXTS[:8], TEXTS[8:]]
        (first, second) = events.named("EmbeddingStartEvent")
        assert first.model_dict == {
            "class_name": "ReindexEmbedding", "model_name": LIVE, "embed_batch_size": 8,
        }  # fmt: skip
        assert len(events.named("EmbeddingEndEvent")) == 2
        assert second is not None


def test_the_example(over_http: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(__file__).parents[1] / "examples" / "embed.py"
    example(file, over_http.target)
    assert capsys.readouterr().out == "1.000  v1  solve a banded linear system\n"


class TestFields:
    def test_serialisation_without_secrets(self) -> None:
        url = "http://user:secret@localhost:1/v1/"
        model = ReindexEmbedding(url, "v2", dimensions=8, api_key="hidden", timeout=3)
        data = model.to_dict()
        assert data["class_name"] == "ReindexEmbedding"
        for shown in (model.to_json(), str(data), repr(model), str(model), repr(model.client)):
            assert "hidden" not in shown
            assert "secret" not in shown
        again = ReindexEmbedding.from_dict(data)
        assert again.to_dict() == data
        assert (again.target, again.model_name, again.dimensions, again.timeout) == (
            "http://localhost:1", "v2", 8, 3,
        )  # fmt: skip
        assert ReindexEmbedding.from_json(model.to_json()).to_dict() == data

    def test_a_pickled_one_keeps_its_version_and_key(
        self, plug: Plugged, over_http: Connection
    ) -> None:
        model = ReindexEmbedding(over_http)
        model.get_text_embedding("a")
        with as_it_was(plug, over_http):
            plug.flip("v2")
            again = pickle.loads(pickle.dumps(model))
            assert again.model_name == "v1"
            assert [again.get_query_embedding("a")] == expected("v1", ["a"])
            again.client.close()

    def test_what_cannot_be_is_refused_at_once(self, tmp_path: Any) -> None:
        with pytest.raises(ConfigError, match="URL"):
            ReindexEmbedding(tmp_path / "nowhere")
        with pytest.raises(ConfigError, match="ftp"):
            ReindexEmbedding("ftp://localhost")
        for wrong in ({"model": "v2"}, {"dimensions": 0}, {"embed_batch_size": 0}, {"timeout": -1}):
            with pytest.raises(ValidationError):
                ReindexEmbedding("http://localhost:1", **wrong)

    def test_a_server_that_is_not_there(self) -> None:
        model = ReindexEmbedding("http://127.0.0.1:1")
        with pytest.raises(ServerUnreachable, match="reindex serve"):
            model.get_query_embedding("a")
