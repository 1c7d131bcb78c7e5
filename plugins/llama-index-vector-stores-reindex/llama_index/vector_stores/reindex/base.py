"""A vector store whose vectors are reindex's own affair."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr, SecretStr
from llama_index.core.schema import BaseNode, MetadataMode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import node_to_metadata_dict

from llama_index.retrievers.reindex.filters import where_of
from llama_index.retrievers.reindex.nodes import node_of, scored_nodes, unmarked
from llama_index.vector_stores.reindex.embedding import EmbeddedByReindex
from reindex.connection import Connection, connect
from reindex.connection.filters import Where, all_of
from reindex.errors import AccessDenied, RequestRefused
from reindex.project import Project
from reindex.records import Document
from reindex.retriever import Results

DOCUMENT_ID_KEY = "doc_id"
"""Where LlamaIndex's own Qdrant store keeps the id of the document that a node comes from."""

PRESET: Final = "llamaindex"
"""What ``source.payload`` of a project should be."""

_MOST: Final = 10_000
"""Nodes that are read at once: what a server finds at the most."""

_AT_ONCE: Final = 1000
"""Nodes that are looked for, and deleted, before more are looked for."""


class ReindexVectorStore(BasePydanticVectorStore):
    """Stores and searches nodes through reindex, by whatever version is live.

    Nodes go in as text: reindex embeds them for every collection that is written to, and keeps
    the payload that LlamaIndex's own Qdrant store would. Queries are embedded by the version whose
    collection is searched. Each node that is found names that version in its metadata.

    Examples:
        `pip install llama-index-vector-stores-reindex`

        ```python
        from llama_index.core import VectorStoreIndex
        from llama_index.vector_stores.reindex import ReindexVectorStore

        store = ReindexVectorStore("http://localhost:8080")
        index = VectorStoreIndex.from_vector_store(store, embed_model=store.embed_model)
        ```
    """

    model_config = ConfigDict(extra="forbid")

    stores_text: bool = True
    is_embedding_query: bool = False
    flat_metadata: bool = False

    target: str = Field(description="URL of a reindex server, or the folder of a project.")
    timeout: float = Field(default=30.0, description="Seconds that a server gets.", gt=0)
    text_key: str | None = Field(
        default=None, description="The payload's field with the text, where it is not the usual."
    )
    api_key: SecretStr | None = Field(
        default=None, description="The server's key; unset: REINDEX_API_KEY.", exclude=True
    )

    _client: Connection = PrivateAttr()
    _written: bool = PrivateAttr(default=False)

    def __init__(
        self,
        target: str | Path | Project | Connection,
        *,
        api_key: str | SecretStr | None = None,
        timeout: float = 30.0,
        **kwargs: Any,
    ) -> None:
        """Nothing is asked yet.

        Args:
            target: the URL of a `reindex serve`, the folder or ``reindex.toml`` of a project, an
                open project, or an open connection (which several components may share).
            api_key: a key with the scope ``write``, for adding and deleting.

        Raises:
            ConfigError: there is no such project, or the URL is none.
        """
        key = api_key.get_secret_value() if isinstance(api_key, SecretStr) else api_key
        client = connect(target, api_key=key, timeout=timeout)
        super().__init__(target=client.target, api_key=api_key, timeout=timeout, **kwargs)
        self._client = client

    @classmethod
    def class_name(cls) -> str:
        """For serialisation."""
        return "ReindexVectorStore"

    @property
    def client(self) -> Connection:
        """The connection."""
        return self._client

    @property
    def embed_model(self) -> EmbeddedByReindex:
        """For indexes and pipelines over this store: they need not embed anything."""
        return EmbeddedByReindex()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._client = state["__pydantic_private__"]["_client"]

    # -- reading

    def get_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """Nodes by their ids, or those that fulfil the filters, or both; 10,000 at most.

        Raises:
            RequestRefused: neither is given.
        """
        where = _which(node_ids, filters)
        ids = _both(self._client.find(where, _MOST) if where else None, node_ids)
        return self._nodes(self._client.fetch(ids))

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """As `get_nodes`."""
        where = _which(node_ids, filters)
        ids = _both(await self._client.afind(where, _MOST) if where else None, node_ids)
        return self._nodes(await self._client.afetch(ids))

    def _nodes(self, documents: Sequence[Document]) -> list[BaseNode]:
        return [node_of(document, self.text_key) for document in documents]

    # -- writing

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Store nodes, or overwrite those of the same ids. Their embeddings are not used.

        Returns once they are in the journal and in what is live.

        Raises:
            WriteRefused: one of them cannot be stored; names it.
        """
        if self._first(nodes):
            with suppress(AccessDenied):  # a key for writing alone
                _check_payloads(self._client.status())
        self._client.upsert([document_of(node) for node in nodes])
        return [node.node_id for node in nodes]

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """As `add`."""
        if self._first(nodes):
            with suppress(AccessDenied):
                _check_payloads(await self._client.astatus())
        await self._client.aupsert([document_of(node) for node in nodes])
        return [node.node_id for node in nodes]

    def _first(self, nodes: Sequence[BaseNode]) -> bool:
        """Whether these are the first nodes that this store writes."""
        before, self._written = self._written, self._written or bool(nodes)
        return self._written and not before

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete the nodes of a document."""
        self._delete({DOCUMENT_ID_KEY: ref_doc_id})

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """As `delete`."""
        await self._adelete({DOCUMENT_ID_KEY: ref_doc_id})

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        """Delete nodes by their ids, or those that fulfil the filters, or both.

        Raises:
            RequestRefused: neither is given.
        """
        where = _which(node_ids, filters)
        if where and node_ids is None:
            self._delete(where)
        else:
            found = self._client.find(where, _MOST) if where else None
            self._client.delete(_both(found, node_ids))

    async def adelete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        """As `delete_nodes`."""
        where = _which(node_ids, filters)
        if where and node_ids is None:
            await self._adelete(where)
        else:
            found = await self._client.afind(where, _MOST) if where else None
            await self._client.adelete(_both(found, node_ids))

    def clear(self) -> None:
        """Not done here.

        Raises:
            RequestRefused: always.
        """
        raise RequestRefused(
            "What is live is not emptied through an index. Delete its documents (delete_ref_doc), "
            "or start a project of its own."
        )

    async def aclear(self) -> None:
        """As `clear`."""
        self.clear()

    def _delete(self, where: Where) -> None:
        while ids := self._client.find(where, _AT_ONCE):
            self._client.delete(ids)
            if len(ids) < _AT_ONCE:
                return

    async def _adelete(self, where: Where) -> None:
        while ids := await self._client.afind(where, _AT_ONCE):
            await self._client.adelete(ids)
            if len(ids) < _AT_ONCE:
                return

    # -- searching

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The nodes for the query's text; its embedding, if it has one, is not used.

        Args:
            kwargs: ``key``: whom a canary shall treat the same every time.

        Raises:
            RequestRefused: no text, or another mode than the default one.
            FilterRefused: a filter that no search can express.
        """
        text, where = _asked(query)
        key = kwargs.get("key")
        return self._found(self._client.search(text, query.similarity_top_k, where=where, key=key))

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """As `query`."""
        text, where = _asked(query)
        key = kwargs.get("key")
        return self._found(
            await self._client.asearch(text, query.similarity_top_k, where=where, key=key)
        )

    def _found(self, results: Results) -> VectorStoreQueryResult:
        found = scored_nodes(results, self.text_key)
        return VectorStoreQueryResult(
            nodes=[item.node for item in found],
            similarities=[item.get_score() for item in found],
            ids=[item.node_id for item in found],
        )


def document_of(node: BaseNode) -> Document:
    """What is stored of a node: the payload of LlamaIndex's own Qdrant store."""
    node = unmarked(node)
    return Document(node.node_id, node.get_content(MetadataMode.EMBED), node_to_metadata_dict(node))


def _check_payloads(status: Mapping[str, Any]) -> None:
    """Warn where the project lays its payloads out for somebody else."""
    preset = (status.get("source") or {}).get("payload", PRESET)
    if preset != PRESET:
        warnings.warn(
            f"This project's source.payload is {preset!r}. Nodes are found again all the same, but "
            "their text is put where that says, too, so what is embedded may differ from what "
            "LlamaIndex would embed, and its own Qdrant store may not read it. Set "
            f"source.payload = {PRESET!r} in reindex.toml.",
            stacklevel=3,
        )


def _asked(query: VectorStoreQuery) -> tuple[str, Where | None]:
    if query.mode != VectorStoreQueryMode.DEFAULT:
        raise RequestRefused(
            f"Expected the query mode 'default', got {query.mode.value!r}: reindex searches by the "
            "live version's vectors alone. Fuse its nodes with another retriever's "
            "(QueryFusionRetriever), or rerank them (a node postprocessor)."
        )
    if query.node_ids:
        raise RequestRefused(
            "A search among given node ids is not possible. Give the nodes a field of their own "
            "and filter by it, or use ReindexRetriever, which needs no index structure."
        )
    if not (query.query_str or "").strip():
        raise RequestRefused(
            "Expected a query with text, got none. reindex embeds queries by itself, because a "
            "vector says nothing of the model that made it."
        )
    of_documents = {DOCUMENT_ID_KEY: query.doc_ids} if query.doc_ids else None
    return str(query.query_str), all_of(where_of(query.filters), of_documents) or None


def _which(node_ids: list[str] | None, filters: MetadataFilters | None) -> Where | None:
    where = where_of(filters)
    if node_ids is None and where is None:
        raise RequestRefused("Expected the ids of nodes, filters, or both; got neither.")
    return where


def _both(found: Sequence[int | str] | None, node_ids: Sequence[str] | None) -> list[int | str]:
    """The ids that were asked for, as far as they were found, where that was asked, too."""
    if found is None or node_ids is None:
        return list(node_ids or found or ())
    return [id for id in node_ids if id in set(found)]
