"""LangChain's own standard suites, over a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import (
    EmbeddingsIntegrationTests,
    RetrieversIntegrationTests,
    VectorStoreIntegrationTests,
)
from langchain_tests.unit_tests import EmbeddingsUnitTests
from tests.plugin_project import Plugged, plugged

from langchain_reindex import ReindexEmbeddings, ReindexRetriever, ReindexVectorStore


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    with plugged(tmp_path_factory.mktemp("standard"), "langchain") as served:
        yield served


class Served:
    """What a suite makes is connected to the server."""

    @pytest.fixture(autouse=True)
    def params(self, served: Plugged) -> None:
        self.given = {"target": served.url, "api_key": served.key}


class TestEmbeddingsUnit(Served, EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[ReindexEmbeddings]:
        return ReindexEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return self.given

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        environment = {"REINDEX_API_KEY": "a key", "REINDEX_URL": "http://somewhere:1"}
        return environment, {}, {"api_key": "a key", "target": "http://somewhere:1"}


class TestEmbeddings(Served, EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[ReindexEmbeddings]:
        return ReindexEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return self.given


class TestRetriever(Served, RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[ReindexRetriever]:
        return ReindexRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return self.given

    @property
    def retriever_query_example(self) -> str:
        return "text number 3"


@pytest.fixture(scope="module")
def emptied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VectorStore]:
    """A store without documents: what stands in the project's source is deleted."""
    with plugged(tmp_path_factory.mktemp("store"), "langchain", texts=["one"]) as served:
        store = ReindexVectorStore(served.url, api_key=served.key)
        store.delete(["d0"])
        yield store


class TestVectorStore(VectorStoreIntegrationTests):
    """Nothing is overridden: metadata come back as written, ids are the caller's."""

    @pytest.fixture
    def vectorstore(self, emptied: ReindexVectorStore) -> Iterator[VectorStore]:
        yield emptied
        while found := emptied.similarity_search("anything", k=50):
            emptied.delete([item.id for item in found if item.id])
