"""`ReindexDocumentStore`: what is live, as a document store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from haystack import Document, default_from_dict, default_to_dict
from haystack.document_stores.types import DuplicatePolicy
from haystack.utils import Secret
from haystack.utils.filters import document_matches_filter

from haystack_integrations.common.reindex import Link
from haystack_integrations.common.reindex.link import API_KEY, with_key
from haystack_integrations.document_stores.reindex.converters import to_document
from haystack_integrations.document_stores.reindex.filters import to_where
from haystack_integrations.document_stores.reindex.writing import (
    Id,
    candidates,
    checked,
    checked_ids,
    chosen,
    known_ids,
    writes,
)
from reindex.connection import Connection
from reindex.errors import ConfigError, ServerError

META = {"plain": "", "langchain": "metadata.", "llamaindex": "", "haystack": "meta."}
"""``source.payload`` -> where such payloads keep what Haystack calls ``meta.``"""


class ReindexDocumentStore:
    """The documents of a reindex project: whatever version is live, always the same documents.

    Writes are embedded by reindex, by every version that is written to; a
    `~haystack.components.writers.DocumentWriter` needs no embedder before it.

    ```python
    from haystack import Document
    from haystack_integrations.document_stores.reindex import ReindexDocumentStore

    store = ReindexDocumentStore("http://localhost:8080")
    store.write_documents([Document(content="How to flatten a nested list")])
    ```
    """

    def __init__(
        self,
        target: str | Path,
        *,
        api_key: Secret | None = Secret.from_env_var(API_KEY, strict=False),  # noqa: B008
        timeout: float = 30.0,
    ) -> None:
        """Nothing is asked of reindex yet.

        :param target: The URL of a `reindex serve`, or the folder or `reindex.toml` of a project.
        :param api_key: The key that the server wants for writing, and for reading where it is not
            open.
        :param timeout: Seconds that the server gets for an answer.
        """
        self._link = Link(target, api_key, timeout)
        self._source: dict[str, Any] | None = None

    @property
    def connection(self) -> Connection:
        """The connection to reindex, opened on first use: search, feedback, status and the rest."""
        return self._link.connection

    # -- Haystack's protocol

    def to_dict(self) -> dict[str, Any]:
        """Serializes this store to a dictionary; of the key, its environment variable's name."""
        return default_to_dict(self, **self._link.as_dict())

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ReindexDocumentStore:
        """Deserializes the store from a dictionary."""
        made: ReindexDocumentStore = default_from_dict(cls, with_key(data))
        return made

    def count_documents(self) -> int:
        """How many documents are live."""
        return self.connection.count()

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """The documents that match, by Haystack's own rules, so every filter is taken.

        All documents are read for that, page by page: it is for looking and mending, not for every
        request. `ReindexRetriever` filters where the documents are.

        :param filters: The filters to apply to the documents.
        :returns: The documents, without scores and vectors.
        """
        return [document for page in self._pages() for document in _matching(page, filters)]

    def write_documents(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.FAIL
    ) -> int:
        """Writes documents to what is live and to every version that is being built.

        :param documents: The documents. Their vectors, if any, are not used.
        :param policy: What to do with a document that is there already; NONE means FAIL.
        :returns: How many were written.
        :raises ValueError: If `documents` is no list of documents, or one has no text.
        :raises DuplicateDocumentError: If one is there and the policy is FAIL.
        """
        given = checked(documents)
        if not given:
            return 0
        as_qdrant = self._writes_as_qdrant()
        known = self._known(list(given))
        picked = chosen(given, known, policy)
        if picked:
            self.connection.upsert(writes(picked, known, as_qdrant=as_qdrant))
        return len(picked)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Deletes documents; ids that are not there are no error.

        :param document_ids: The ids of the documents.
        :raises ValueError: If it is no list of ids.
        """
        known = self._known(checked_ids(document_ids))
        ids = [id for several in known.values() for id in several]
        if ids:
            self.connection.delete(ids)

    # -- the same for asyncio

    async def count_documents_async(self) -> int:
        """As `count_documents`."""
        return await self.connection.acount()

    async def filter_documents_async(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """As `filter_documents`."""
        return await asyncio.to_thread(self.filter_documents, filters)

    async def write_documents_async(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.FAIL
    ) -> int:
        """As `write_documents`."""
        return await asyncio.to_thread(self.write_documents, documents, policy)

    async def delete_documents_async(self, document_ids: list[str]) -> None:
        """As `delete_documents`."""
        await asyncio.to_thread(self.delete_documents, document_ids)

    def close(self) -> None:
        """Hang up; the next use connects again."""
        self._link.close()

    async def close_async(self) -> None:
        """As `close`."""
        await self._link.close_async()

    # -- for the retriever

    def where(self, filters: dict[str, Any] | None) -> dict[str, Any] | None:
        """Haystack's filters as the condition of a search here.

        :raises FilterError: If a search cannot filter by them; says by what it can.
        """
        if not filters:
            return None
        return to_where(filters, META[self._layout()["payload"]])

    async def where_async(self, filters: dict[str, Any] | None) -> dict[str, Any] | None:
        """As `where`."""
        if filters and self._source is None:
            self._source = _source(await self.connection.astatus())
        return self.where(filters)

    # -- within

    def _layout(self) -> dict[str, Any]:
        """What the project's payloads look like: read once."""
        if self._source is None:
            self._source = _source(self.connection.status())
        return self._source

    def _writes_as_qdrant(self) -> bool:
        """Whether new documents go where `QdrantDocumentStore` would put them.

        They do where the collection is the source: it was adopted, and a plain store may still
        write to it. Elsewhere files give the ids.
        """
        source = self._layout()
        if source["payload"] != "haystack":
            raise ConfigError(
                f"The payloads of this project are laid out for {source['payload']!r} "
                "(source.payload), so documents of Haystack would not be read back as they are. "
                'Set [source] payload = "haystack" in its reindex.toml and build anew, or write by '
                "reindex itself (POST /v1/documents). Nothing was written."
            )
        return bool(source["kind"] == "collection")

    def _known(self, ids: list[str]) -> dict[str, list[Id]]:
        wanted = [candidate for id in ids for candidate in candidates(id)]
        return known_ids(ids, self.connection.fetch(wanted) if wanted else [])

    def _pages(self) -> Iterator[list[Document]]:
        after = None
        while True:
            page = self.connection.page(after)
            yield [to_document(item.id, item.payload) for item in page.documents]
            if page.following is None:
                return
            after = page.following


def _source(status: dict[str, Any]) -> dict[str, Any]:
    source = status.get("source")
    if not isinstance(source, dict):
        raise ServerError(
            "The server does not tell how its payloads are laid out (source): it is of an older "
            "release than this. Update it."
        )
    return source


def _matching(documents: list[Document], filters: dict[str, Any] | None) -> list[Document]:
    if not filters:
        return documents
    return [item for item in documents if document_matches_filter(filters, item)]
