"""Retrieval by whatever version is live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.constants import DEFAULT_SIMILARITY_TOP_K
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.vector_stores.types import MetadataFilters

from llama_index.retrievers.reindex.filters import where_of
from llama_index.retrievers.reindex.nodes import scored_nodes
from reindex.connection import Connection, connect
from reindex.errors import RequestRefused
from reindex.project import Project


class ReindexRetriever(BaseRetriever):
    """Searches what is live: the query is embedded by the version whose collection is searched.

    A flip needs no restart. Each node's metadata names the version that found it.

    Examples:
        `pip install llama-index-retrievers-reindex`

        ```python
        from llama_index.core.query_engine import RetrieverQueryEngine
        from llama_index.retrievers.reindex import ReindexRetriever

        retriever = ReindexRetriever("http://localhost:8080", similarity_top_k=4)
        engine = RetrieverQueryEngine.from_args(retriever)
        ```
    """

    def __init__(
        self,
        target: str | Path | Project | Connection,
        similarity_top_k: int = DEFAULT_SIMILARITY_TOP_K,
        filters: MetadataFilters | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        key: str | None = None,
        text_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Nothing is asked yet.

        Args:
            target: the URL of a `reindex serve`, the folder or ``reindex.toml`` of a project, an
                open project, or an open connection (which several components may share).
            similarity_top_k: so many nodes at most.
            filters: conditions on the metadata; what a search cannot express is refused here.
            api_key: for a server whose reading is not open. None: ``REINDEX_API_KEY``.
            timeout: seconds that a server gets for an answer.
            key: whom a canary shall treat the same every time: a user's or a session's id.
            text_key: see `nodes.scored_nodes`.
            kwargs: those of every retriever: ``callback_manager``, ``objects``, ``object_map``,
                ``verbose``.

        Raises:
            ConfigError: there is no such project, or the URL is none.
            FilterRefused: a filter that no search can express.
            RequestRefused: ``similarity_top_k`` is no positive number.
        """
        super().__init__(**kwargs)
        if not isinstance(similarity_top_k, int) or similarity_top_k < 1:
            raise RequestRefused(
                f"Expected similarity_top_k of at least 1, got {similarity_top_k!r}."
            )
        self._client = connect(target, api_key=api_key, timeout=timeout)
        self.similarity_top_k, self.key, self.text_key = similarity_top_k, key, text_key
        self.filters = filters

    @property
    def client(self) -> Connection:
        """The connection, for instance for `feedback`."""
        return self._client

    @property
    def filters(self) -> MetadataFilters | None:
        """Conditions on the metadata."""
        return self._filters

    @filters.setter
    def filters(self, filters: MetadataFilters | None) -> None:
        self._where = where_of(filters)
        self._filters = filters

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = self._client.search_many(
            _queries(query_bundle), self.similarity_top_k, where=self._where, key=self.key
        )
        return self._best([scored_nodes(results, self.text_key) for results in found])

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = await self._client.asearch_many(
            _queries(query_bundle), self.similarity_top_k, where=self._where, key=self.key
        )
        return self._best([scored_nodes(results, self.text_key) for results in found])

    def _best(self, lists: list[list[NodeWithScore]]) -> list[NodeWithScore]:
        """Of several queries' lists: each node by its best score, as simple fusion has it."""
        if len(lists) == 1:
            return lists[0]
        best: dict[str, NodeWithScore] = {}
        for item in (item for found in lists for item in found):
            known = best.get(item.node_id)
            if known is None or item.get_score() > known.get_score():
                best[item.node_id] = item
        ranked = sorted(best.values(), key=lambda item: item.get_score(), reverse=True)
        return ranked[: self.similarity_top_k]


def _queries(bundle: QueryBundle) -> list[str]:
    """The texts to search for: a transform such as HyDE may put others in the query's place.

    An embedding in the bundle is left alone: nobody knows which model made it.
    """
    texts = [text for text in bundle.embedding_strs if text.strip()]
    if not texts:
        raise RequestRefused(
            "Expected a query with text, got none. reindex embeds queries by itself, because a "
            "vector says nothing of the model that made it."
        )
    return texts
